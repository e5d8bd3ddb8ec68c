package main

import (
	"fmt"
	"io/ioutil"
	"log"
	"math/rand"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Sixteen octets: AES-128. gossipbench has the same.
var key = []byte("regdns-benchmark")

// node is one member and what it saw.
type node struct {
	list      *memberlist.Memberlist
	transport *counting
	queue     memberlist.TransmitLimitedQueue
	name      string
	address   string

	mutex sync.Mutex
	// When each name was seen to go last, and to change last.
	gone, updated map[string]time.Time
	deaths        int
	meta          []byte
	// When each message came first, and how often it came.
	heard  map[string]time.Time
	copies int
}

func (n *node) NodeMeta(limit int) []byte              { n.mutex.Lock(); defer n.mutex.Unlock(); return n.meta }
func (n *node) LocalState(join bool) []byte            { return nil }
func (n *node) MergeRemoteState(buf []byte, join bool) {}
func (n *node) GetBroadcasts(overhead, limit int) [][]byte {
	return n.queue.GetBroadcasts(overhead, limit)
}

// NotifyMsg passes on what is new, once.
func (n *node) NotifyMsg(message []byte) {
	now, text := time.Now(), string(message)
	n.mutex.Lock()
	n.copies++
	_, known := n.heard[text]
	if !known {
		n.heard[text] = now
	}
	n.mutex.Unlock()
	if !known {
		n.queue.QueueBroadcast(broadcast(text))
	}
}

func (n *node) NotifyJoin(member *memberlist.Node) {}
func (n *node) NotifyLeave(member *memberlist.Node) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.gone[member.Name] = time.Now()
	n.deaths++
}
func (n *node) NotifyUpdate(member *memberlist.Node) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.updated[member.Name] = time.Now()
}

type broadcast string

func (b broadcast) Invalidates(memberlist.Broadcast) bool { return false }
func (b broadcast) Message() []byte                       { return []byte(b) }
func (b broadcast) Finished()                             {}

// start makes a member on an address of its own.
func start(name, address string, port int) *node {
	n := &node{
		name: name, meta: []byte("role=regdns;v1"), gone: map[string]time.Time{}, updated: map[string]time.Time{},
		heard: map[string]time.Time{},
	}
	config := memberlist.DefaultLANConfig()
	config.Name, config.BindAddr, config.BindPort, config.AdvertiseAddr = name, address, port, address
	config.SecretKey = key
	config.Logger = log.New(ioutil.Discard, "", 0)
	transport, err := newCounting(address, port, config.Logger)
	if err != nil {
		fail(err)
	}
	config.BindPort, config.AdvertisePort = transport.GetAutoBindPort(), transport.GetAutoBindPort()
	config.Transport, config.Delegate, config.Events = transport, n, n
	n.transport = transport
	n.queue = memberlist.TransmitLimitedQueue{RetransmitMult: config.RetransmitMult}
	n.queue.NumNodes = func() int {
		if n.list == nil {
			return 1
		}
		return n.list.NumMembers()
	}
	list, err := memberlist.Create(config)
	if err != nil {
		fail(err)
	}
	n.list = list
	n.address = address + ":" + strconv.Itoa(config.BindPort)
	return n
}

func (n *node) dial(other *node) {
	if _, err := n.list.Join([]string{other.address}); err != nil {
		fail(err)
	}
}

// place is the address of a node.
func place(cluster, number int) string { return fmt.Sprintf("127.1.%d.%d", cluster+1, number+1) }

// form starts nodes that know each other: all join the first, twice, for only then it knows all of them.
func form(cluster, count int) []*node {
	nodes := []*node{}
	for number := 0; number < count; number++ {
		nodes = append(nodes, start(fmt.Sprintf("n%d-%d", cluster, number), place(cluster, number), 0))
	}
	for pass := 0; pass < 2; pass++ {
		for _, n := range nodes[1:] {
			n.dial(nodes[0])
		}
	}
	if seconds := untilFull(nodes, count, 120*time.Second); seconds < 0 {
		fail(fmt.Errorf("the views of %d nodes did not fill within two minutes", count))
	}
	return nodes
}

// untilFull waits until everybody sees that many; -1 when time is over.
func untilFull(nodes []*node, count int, limit time.Duration) float64 {
	began := time.Now()
	for time.Since(began) < limit {
		if full(nodes, count) {
			return time.Since(began).Seconds()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return -1
}

func full(nodes []*node, count int) bool {
	for _, n := range nodes {
		if n.list.NumMembers() != count {
			return false
		}
	}
	return true
}

// stop ends all at once, so that nobody takes the others for dead.
func stop(nodes []*node) {
	var group sync.WaitGroup
	for _, n := range nodes {
		group.Add(1)
		go func(n *node) {
			defer group.Done()
			_ = n.list.Shutdown()
		}(n)
	}
	group.Wait()
}

// deaths is how often somebody was declared dead, by anybody.
func deaths(nodes []*node) int {
	sum := 0
	for _, n := range nodes {
		n.mutex.Lock()
		sum += n.deaths
		n.mutex.Unlock()
	}
	return sum
}

func pause(seconds float64) { time.Sleep(time.Duration(seconds * float64(time.Second))) }

// jitter waits somewhere within the period of a probe, so that trials do not begin in step.
func jitter() { pause(rand.Float64()) }
