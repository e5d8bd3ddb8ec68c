package main

import (
	"fmt"
	"math"
	"math/rand"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const killPatience = 60 * time.Second

// kill closes the sockets of one node after another, and waits until all others know.
func kill(o options) {
	inParallel(o.clusters, func(cluster int) {
		nodes := form(cluster, o.nodes)
		pause(3)
		for trial := 0; trial < o.trials; trial++ {
			jitter()
			victim := 1 + rand.Intn(len(nodes)-1)
			gone := nodes[victim]
			nodes = append(nodes[:victim:victim], nodes[victim+1:]...)
			before, at := deaths(nodes), time.Now()
			if err := gone.list.Shutdown(); err != nil {
				fail(err)
			}
			seen := []float64{}
			for time.Since(at) < killPatience && len(seen) < len(nodes) {
				time.Sleep(20 * time.Millisecond)
				seen = seen[:0]
				for _, n := range nodes {
					n.mutex.Lock()
					if when, ok := n.gone[gone.name]; ok {
						seen = append(seen, when.Sub(at).Seconds())
					}
					n.mutex.Unlock()
				}
			}
			sort.Float64s(seen)
			line := map[string]interface{}{
				"scenario": "kill", "nodes": o.nodes, "survivors": len(nodes), "cluster": cluster, "trial": trial,
				"missing": len(nodes) - len(seen), "false_deaths": deaths(nodes) - before - len(seen),
			}
			if len(seen) > 0 {
				line["first"], line["all"] = seen[0], seen[len(seen)-1]
			}
			say(line)
			pause(2)
		}
		stop(nodes)
	})
}

// change sends one message of 100 octets to all at a time, or changes the metadata of one node.
func change(o options) {
	nodes := form(0, o.nodes)
	pause(3)
	type sent struct {
		by   int
		text string
		at   time.Time
	}
	changes := []sent{}
	for trial := 0; trial < o.trials; trial++ {
		by := rand.Intn(len(nodes))
		text := fmt.Sprintf("%-100d", trial)
		changes = append(changes, sent{by, text, time.Now()})
		n := nodes[by]
		if o.metadata {
			n.mutex.Lock()
			n.meta = []byte(fmt.Sprintf("role=regdns;v%d", trial+2))
			n.mutex.Unlock()
			if err := n.list.UpdateNode(time.Nanosecond); err != nil && !strings.Contains(err.Error(), "timeout") {
				fail(err)
			}
		} else {
			n.mutex.Lock()
			n.heard[text] = time.Now()
			n.mutex.Unlock()
			n.queue.QueueBroadcast(broadcast(text))
		}
		pause(o.gap + rand.Float64())
		if o.metadata {
			report(o, trial, len(nodes), times(nodes, by, changes[trial].at, func(other *node) (time.Time, bool) {
				when, ok := other.updated[n.name]
				return when, ok && when.After(changes[trial].at)
			}), nil)
		}
	}
	if o.metadata {
		return
	}
	pause(5)
	copies := 0
	for _, n := range nodes {
		copies += n.copies
	}
	perDelivery := float64(copies) / float64(len(changes)*(len(nodes)-1))
	for trial, change := range changes {
		report(o, trial, len(nodes), times(nodes, change.by, change.at, func(other *node) (time.Time, bool) {
			when, ok := other.heard[change.text]
			return when, ok
		}), &perDelivery)
	}
}

// times are the milliseconds that others needed to hear of a change.
func times(nodes []*node, by int, at time.Time, heard func(*node) (time.Time, bool)) []float64 {
	found := []float64{}
	for number, n := range nodes {
		n.mutex.Lock()
		if when, ok := heard(n); ok && number != by {
			found = append(found, when.Sub(at).Seconds()*1000)
		}
		n.mutex.Unlock()
	}
	sort.Float64s(found)
	return found
}

func report(o options, trial, nodes int, found []float64, copies *float64) {
	kind := "message"
	if o.metadata {
		kind = "metadata"
	}
	line := map[string]interface{}{
		"scenario": "change", "kind": kind, "nodes": nodes, "trial": trial, "ms": found,
		"missing": nodes - 1 - len(found),
	}
	if copies != nil {
		line["copies"] = *copies
	}
	say(line)
}

// join starts nodes one after another, each joining a random earlier one.
func join(o options) {
	for trial := 0; trial < o.trials; trial++ {
		began, processor := time.Now(), cpuSeconds()
		nodes := []*node{}
		for number := 0; number < o.nodes; number++ {
			n := start(fmt.Sprintf("n%d", number), place(0, number), 0)
			if number > 0 {
				n.dial(nodes[rand.Intn(number)])
			}
			nodes = append(nodes, n)
		}
		joined := time.Since(began).Seconds()
		seconds := untilFull(nodes, o.nodes, 90*time.Second)
		line := map[string]interface{}{
			"scenario": "join", "nodes": o.nodes, "trial": trial, "joining": joined, "deaths": deaths(nodes),
			"cpu": cpuSeconds() - processor,
		}
		if seconds >= 0 {
			line["full"] = seconds
		}
		say(line)
		stop(nodes)
	}
}

// memberlist's first periodic push/pull comes after up to 90 s at 64 nodes.
const settleSeconds = 95

// idle counts what nodes send while nothing happens.
func idle(o options) {
	nodes := form(0, o.nodes)
	pause(settleSeconds)
	sums := func() (packets, packetBytes, streamBytes int64) {
		for _, n := range nodes {
			packets += atomic.LoadInt64(&n.transport.packets)
			packetBytes += atomic.LoadInt64(&n.transport.packetBytes)
			streamBytes += atomic.LoadInt64(&n.transport.streamBytes)
		}
		return
	}
	packets, packetBytes, streamBytes := sums()
	died, processor, began := deaths(nodes), cpuSeconds(), time.Now()
	pause(o.seconds)
	seconds := time.Since(began).Seconds() * float64(o.nodes)
	packetsAfter, packetBytesAfter, streamBytesAfter := sums()
	say(map[string]interface{}{
		"scenario": "idle", "nodes": o.nodes, "packets": float64(packetsAfter-packets) / seconds,
		"packet_bytes": float64(packetBytesAfter-packetBytes) / seconds,
		"stream_bytes": float64(streamBytesAfter-streamBytes) / seconds,
		"cpu":          (cpuSeconds() - processor) / seconds, "deaths": deaths(nodes) - died,
	})
	stop(nodes)
}

// single is one node in a process of its own, which prints what it sees.
func single(o options) {
	place := strings.Split(o.bind, ":")
	port, err := strconv.Atoi(place[1])
	if err != nil {
		fail(err)
	}
	n := start(o.name, place[0], port)
	say(map[string]interface{}{"event": "started"})
	if o.join != "" {
		if _, err := n.list.Join(strings.Split(o.join, ",")); err != nil {
			fail(err)
		}
	}
	known, members := map[string]bool{}, 0
	for {
		n.mutex.Lock()
		for name, when := range n.gone {
			if !known[name] {
				known[name] = true
				say(map[string]interface{}{"event": "gone", "name": name, "at": float64(when.UnixNano()) / 1e9})
			}
		}
		n.mutex.Unlock()
		if now := n.list.NumMembers(); now != members {
			members = now
			say(map[string]interface{}{"event": "members", "count": members})
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// cpuSeconds is what this process spent on CPUs.
func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return math.NaN()
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
