// mlbench measures HashiCorp's memberlist as gossipbench measures regdns: nodes on real loopback sockets, sealed with a
// raw key, compressed, with LAN timers. What was measured goes to standard output, one JSON object a line.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"sync"
	"time"
)

type options struct {
	nodes, trials, clusters int
	seconds, gap            float64
	metadata                bool
	name, bind, join        string
}

var output sync.Mutex

// say prints one measurement.
func say(fields map[string]interface{}) {
	text, err := json.Marshal(fields)
	if err != nil {
		fail(err)
	}
	output.Lock()
	defer output.Unlock()
	fmt.Println(string(text))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "mlbench:", err)
	os.Exit(1)
}

func main() {
	scenarios := map[string]func(options){
		"kill": kill, "change": change, "join": join, "idle": idle, "node": single,
	}
	if len(os.Args) < 2 || scenarios[os.Args[1]] == nil {
		fail(fmt.Errorf("expected kill, change, join, idle or node"))
	}
	var o options
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	flags.IntVar(&o.nodes, "nodes", 16, "nodes of a cluster")
	flags.IntVar(&o.trials, "trials", 1, "kills, changes or joins, one after another, in each cluster")
	flags.IntVar(&o.clusters, "clusters", 1, "clusters at the same time")
	flags.Float64Var(&o.seconds, "seconds", 30, "how long idle counts")
	flags.Float64Var(&o.gap, "gap", 2, "seconds between changes")
	flags.BoolVar(&o.metadata, "metadata", false, "change: the metadata instead of a message")
	flags.StringVar(&o.name, "name", "", "node: its name")
	flags.StringVar(&o.bind, "bind", "", "node: its address")
	flags.StringVar(&o.join, "join", "", "node: whom it joins")
	_ = flags.Parse(os.Args[2:])
	rand.Seed(time.Now().UnixNano())
	scenarios[os.Args[1]](o)
}

// inParallel runs the body for each cluster.
func inParallel(clusters int, body func(number int)) {
	var group sync.WaitGroup
	for number := 0; number < clusters; number++ {
		group.Add(1)
		go func(number int) {
			defer group.Done()
			body(number)
		}(number)
	}
	group.Wait()
}
