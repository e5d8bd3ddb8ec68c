#!/usr/bin/env bash
# Builds the server, starts it with the sample zone, and says what to type next.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/install-build.sh
echo '== building regdns (the first build takes some minutes)'
export CONFIGURATION=${CONFIGURATION:-release}
scripts/build.sh --product regdns
binary=.build/$CONFIGURATION/regdns

cat <<'TEXT'

== starting regdns; stop it with Ctrl-C. In another shell:

  # register an instance of the service web; its lease is 60 seconds
  curl -s http://127.0.0.1:8080/api/v1/instances -H 'Content-Type: application/json' -d \
    '{"service_name":"web","endpoint":{"type":"http","value":"10.0.0.7:8000"},"tags":["v1"],"ttl":60}'

  # ask for it
  dig @127.0.0.1 -p 5354 +short web.skydns.local A
  dig @127.0.0.1 -p 5354 +short web.skydns.local SRV
  dig @127.0.0.1 -p 5354 +short web.v1.skydns.local A
  dig @127.0.0.1 -p 5354 +short '*.web.skydns.local' A +tcp
  dig @127.0.0.1 -p 5354 +short -x 10.0.0.7

  # the sample zone
  dig @127.0.0.1 -p 5354 www.example.test A

  # the same with the command line
  .build/release/regdns list
  .build/release/regdns lookup web.skydns.local SRV

TEXT
exec "$binary" serve --zones zones "$@"
