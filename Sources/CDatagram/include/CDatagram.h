// Batched datagram I/O (recvmmsg, sendmmsg) and packet information, which Swift's Glibc module does not export
// because they need _GNU_SOURCE. The header itself must not define it: Swift's Glibc module has the same system headers
// without it, and the two would clash. No policy here: see DNSServer/Transport/Syscalls.swift.
#pragma once
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

/// One worker's buffers; owned by the caller of cdatagram_create and freed by cdatagram_destroy.
typedef struct cdatagram_batch cdatagram_batch;

/// Allocates `count` receive and send slots; receive buffers hold `receive_size` octets, followed by 64 octets of readable
/// slack, send buffers `send_size` octets. NULL when memory is short.
cdatagram_batch *cdatagram_create(int fd, int count, int receive_size, int send_size);
void cdatagram_destroy(cdatagram_batch *batch);

/// Waits for at least one datagram and takes up to `count`. Returns their number, or -errno.
int cdatagram_receive(cdatagram_batch *batch);
uint8_t *cdatagram_received_bytes(cdatagram_batch *batch, int slot);
/// Octets received into the slot; `truncated` is set when the datagram was longer than the buffer.
int cdatagram_received_length(cdatagram_batch *batch, int slot, int *truncated);
/// The sender, and the local address the datagram was sent to (family AF_UNSPEC when the socket gives none).
const struct sockaddr_storage *cdatagram_peer(cdatagram_batch *batch, int slot, socklen_t *length);
void cdatagram_local(cdatagram_batch *batch, int slot, struct sockaddr_storage *local, unsigned *interface_index);

uint8_t *cdatagram_send_bytes(cdatagram_batch *batch, int slot);
/// Stages send slot `slot` as the answer to receive slot `from`: to its sender, from the address it was sent to.
void cdatagram_stage(cdatagram_batch *batch, int slot, int from, int length);
/// Sends the first `count` staged slots. Returns how many the kernel refused (they are dropped, as UDP may).
int cdatagram_flush(cdatagram_batch *batch, int count);

/// Turns on IP_PKTINFO / IPV6_RECVPKTINFO. 0 or -errno.
int cdatagram_want_local_address(int fd, int family);
/// Sends one datagram, from `local` when its family is not AF_UNSPEC. 0 or -errno.
int cdatagram_send_one(int fd, const void *bytes, int length, const struct sockaddr_storage *peer, socklen_t peer_length,
                       const struct sockaddr_storage *local, unsigned interface_index);
/// Names the calling thread in /proc and in tools; at most 15 octets.
void cdatagram_name_thread(const char *name);
static inline void cdatagram_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }
