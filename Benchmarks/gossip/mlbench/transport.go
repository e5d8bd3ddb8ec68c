package main

import (
	"log"
	"net"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// counting is memberlist's own transport, and counts what is sent.
type counting struct {
	*memberlist.NetTransport
	streams                           chan net.Conn
	packets, packetBytes, streamBytes int64
}

func newCounting(address string, port int, logger *log.Logger) (*counting, error) {
	inner, err := memberlist.NewNetTransport(
		&memberlist.NetTransportConfig{BindAddrs: []string{address}, BindPort: port, Logger: logger})
	if err != nil {
		return nil, err
	}
	t := &counting{NetTransport: inner, streams: make(chan net.Conn)}
	go func() {
		for connection := range inner.StreamCh() {
			t.streams <- &countingConn{connection, t}
		}
	}()
	return t, nil
}

func (t *counting) sent(octets int) {
	atomic.AddInt64(&t.packets, 1)
	atomic.AddInt64(&t.packetBytes, int64(octets))
}

func (t *counting) WriteTo(packet []byte, address string) (time.Time, error) {
	t.sent(len(packet))
	return t.NetTransport.WriteTo(packet, address)
}

func (t *counting) WriteToAddress(packet []byte, address memberlist.Address) (time.Time, error) {
	t.sent(len(packet))
	return t.NetTransport.WriteToAddress(packet, address)
}

func (t *counting) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	connection, err := t.NetTransport.DialTimeout(address, timeout)
	if err != nil {
		return nil, err
	}
	return &countingConn{connection, t}, nil
}

func (t *counting) DialAddressTimeout(address memberlist.Address, timeout time.Duration) (net.Conn, error) {
	connection, err := t.NetTransport.DialAddressTimeout(address, timeout)
	if err != nil {
		return nil, err
	}
	return &countingConn{connection, t}, nil
}

func (t *counting) StreamCh() <-chan net.Conn { return t.streams }

type countingConn struct {
	net.Conn
	transport *counting
}

func (c *countingConn) Write(bytes []byte) (int, error) {
	atomic.AddInt64(&c.transport.streamBytes, int64(len(bytes)))
	return c.Conn.Write(bytes)
}
