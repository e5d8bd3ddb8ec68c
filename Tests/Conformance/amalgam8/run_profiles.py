#!/usr/bin/env python3
"""Start a registry once per profile and run the matching cases.

  run_profiles.py --server /path/to/binary [--cwd DIR] [--real] [--fast] [--profile P ...] [--files 'rest_*.json'] [--port 18200]

The binary must take the original's flags (or give --wrapper: a command that translates them). Helpers (Redis, fake Kubernetes,
fake Eureka) are started on loopback ports next to --port and stopped by pid at the end.
"""
import argparse, json, os, shutil, socket, subprocess, sys, tempfile, time
here = os.path.dirname(os.path.abspath(__file__))
def wait_port(port, secs=20):
    end = time.time() + secs
    while time.time() < end:
        try: socket.create_connection(('127.0.0.1', port), 1).close(); return True
        except OSError: time.sleep(0.1)
    return False
def main():
    ap = argparse.ArgumentParser(); ap.add_argument('--server', required=True); ap.add_argument('--cwd'); ap.add_argument('--real', action='store_true'); ap.add_argument('--fast', action='store_true')
    ap.add_argument('--profile', action='append'); ap.add_argument('--files', default='*.json', help='which files of cases/'); ap.add_argument('--port', type=int, default=18200); ap.add_argument('-v', action='store_true'); a = ap.parse_args()
    profs = json.load(open(os.path.join(here, 'cases/profiles.json')))['profiles']; procs = []; rc = 0; tot = [0, 0]
    ports = {'FAKE_K8S': a.port + 50, 'FAKE_EUREKA': a.port + 51, 'REDIS': a.port + 52}; tmp = tempfile.mkdtemp()
    try:
        for n, f in (('FAKE_K8S', 'fakek8s.py'), ('FAKE_EUREKA', 'fake_eureka.py')): procs.append(subprocess.Popen([sys.executable, os.path.join(here, 'tools', f), str(ports[n])], stderr=subprocess.DEVNULL)); wait_port(ports[n])
        if shutil.which('redis-server'): procs.append(subprocess.Popen(['redis-server', '--port', str(ports['REDIS']), '--bind', '127.0.0.1', '--save', '', '--requirepass', 'pw', '--dir', tmp], stdout=subprocess.DEVNULL)); wait_port(ports['REDIS'])
        for i, (name, flags) in enumerate(profs.items()):
            if a.profile and name not in a.profile: continue
            if name == 'redis' and not shutil.which('redis-server'): print('== redis: no redis-server, left out'); continue
            fl = [f.replace('TOOLS', os.path.join(here, 'tools')) for f in flags]
            for k, v in ports.items(): fl = [f.replace(k, str(v)) for f in fl]
            port = a.port + i; log = open(os.path.join(tmp, name + '.log'), 'w')
            p = subprocess.Popen([a.server, '--api_port', str(port)] + fl, cwd=a.cwd, stdout=log, stderr=log); procs.append(p)
            if not wait_port(port): print('== %s: server did not start\n%s' % (name, open(log.name).read()[-2000:])); rc = 1; continue
            cmd = [sys.executable, os.path.join(here, 'run_http.py'), '--base', 'http://127.0.0.1:%d' % port, '--profile', name] + ['--real'] * a.real + ['--fast'] * a.fast + ['-v'] * a.v + [os.path.join(here, 'cases', a.files)]
            r = subprocess.run(cmd, capture_output=True, text=True); print(('== %s %s' % (name, ' '.join(fl))).replace(here, '.')); print(r.stdout + r.stderr, end=''); last = r.stdout.strip().splitlines()[-1].split(); tot[0] += int(last[0]); tot[1] += int(last[2]); rc |= r.returncode
            p.terminate(); p.wait(); procs.remove(p)
    finally:
        for p in procs: p.terminate()
        for p in procs: p.wait()
        shutil.rmtree(tmp, ignore_errors=True)
    print('%d passed, %d failed' % tuple(tot)); return rc
sys.exit(main())
