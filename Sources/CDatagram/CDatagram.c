#define _GNU_SOURCE
#include "CDatagram.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { CONTROL_SIZE = 64, SLACK = 64 };

struct cdatagram_batch {
  int fd, count, receive_size, send_size;
  struct mmsghdr *rx, *tx;
  struct iovec *rx_iov, *tx_iov;
  struct sockaddr_storage *peers;
  uint8_t *rx_bytes, *tx_bytes, *rx_control, *tx_control;
};

cdatagram_batch *cdatagram_create(int fd, int count, int receive_size, int send_size) {
  cdatagram_batch *b = calloc(1, sizeof *b);
  if (!b) return NULL;
  b->fd = fd, b->count = count, b->receive_size = receive_size, b->send_size = send_size;
  size_t n = (size_t)count;
  b->rx = calloc(n, sizeof *b->rx), b->tx = calloc(n, sizeof *b->tx);
  b->rx_iov = calloc(n, sizeof *b->rx_iov), b->tx_iov = calloc(n, sizeof *b->tx_iov);
  b->peers = calloc(n, sizeof *b->peers);
  b->rx_bytes = calloc(n, (size_t)receive_size + SLACK), b->tx_bytes = calloc(n, (size_t)send_size);
  b->rx_control = calloc(n, CONTROL_SIZE), b->tx_control = calloc(n, CONTROL_SIZE);
  if (!b->rx || !b->tx || !b->rx_iov || !b->tx_iov || !b->peers || !b->rx_bytes || !b->tx_bytes || !b->rx_control ||
      !b->tx_control) {
    cdatagram_destroy(b);
    return NULL;
  }
  for (int i = 0; i < count; i++) {
    b->rx_iov[i] = (struct iovec){cdatagram_received_bytes(b, i), (size_t)receive_size};
    b->rx[i].msg_hdr.msg_iov = &b->rx_iov[i], b->rx[i].msg_hdr.msg_iovlen = 1;
    b->rx[i].msg_hdr.msg_name = &b->peers[i];
    b->rx[i].msg_hdr.msg_control = b->rx_control + (size_t)i * CONTROL_SIZE;
    b->tx[i].msg_hdr.msg_iov = &b->tx_iov[i], b->tx[i].msg_hdr.msg_iovlen = 1;
  }
  return b;
}

void cdatagram_destroy(cdatagram_batch *b) {
  if (!b) return;
  free(b->rx), free(b->tx), free(b->rx_iov), free(b->tx_iov), free(b->peers);
  free(b->rx_bytes), free(b->tx_bytes), free(b->rx_control), free(b->tx_control);
  free(b);
}

int cdatagram_receive(cdatagram_batch *b) {
  for (int i = 0; i < b->count; i++) {
    b->rx[i].msg_hdr.msg_namelen = sizeof *b->peers;
    b->rx[i].msg_hdr.msg_controllen = CONTROL_SIZE;
    b->rx[i].msg_hdr.msg_flags = 0;
  }
  int n = recvmmsg(b->fd, b->rx, (unsigned)b->count, MSG_WAITFORONE, NULL);
  return n < 0 ? -errno : n;
}

uint8_t *cdatagram_received_bytes(cdatagram_batch *b, int slot) {
  return b->rx_bytes + (size_t)slot * ((size_t)b->receive_size + SLACK);
}

int cdatagram_received_length(cdatagram_batch *b, int slot, int *truncated) {
  *truncated = (b->rx[slot].msg_hdr.msg_flags & MSG_TRUNC) != 0;
  return (int)b->rx[slot].msg_len;
}

const struct sockaddr_storage *cdatagram_peer(cdatagram_batch *b, int slot, socklen_t *length) {
  *length = b->rx[slot].msg_hdr.msg_namelen;
  return &b->peers[slot];
}

void cdatagram_local(cdatagram_batch *b, int slot, struct sockaddr_storage *local, unsigned *interface_index) {
  memset(local, 0, sizeof *local);
  *interface_index = 0;
  struct msghdr *h = &b->rx[slot].msg_hdr;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo info;
      memcpy(&info, CMSG_DATA(c), sizeof info);
      struct sockaddr_in *a = (struct sockaddr_in *)local;
      a->sin_family = AF_INET, a->sin_addr = info.ipi_addr;
      *interface_index = (unsigned)info.ipi_ifindex;
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      struct in6_pktinfo info;
      memcpy(&info, CMSG_DATA(c), sizeof info);
      struct sockaddr_in6 *a = (struct sockaddr_in6 *)local;
      a->sin6_family = AF_INET6, a->sin6_addr = info.ipi6_addr;
      *interface_index = info.ipi6_ifindex;
    }
  }
}

/// Writes the control message that makes `local` the source address; returns its length, 0 for none.
static size_t source_control(uint8_t *control, const struct sockaddr_storage *local, unsigned interface_index) {
  struct msghdr h = {.msg_control = control, .msg_controllen = CONTROL_SIZE};
  if (local->ss_family == AF_INET) {
    struct in_pktinfo info = {.ipi_spec_dst = ((const struct sockaddr_in *)local)->sin_addr};
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    c->cmsg_level = IPPROTO_IP, c->cmsg_type = IP_PKTINFO, c->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(c), &info, sizeof info);
    return CMSG_SPACE(sizeof info);
  }
  if (local->ss_family == AF_INET6) {
    const struct in6_addr *a = &((const struct sockaddr_in6 *)local)->sin6_addr;
    struct in6_pktinfo info = {.ipi6_addr = *a, .ipi6_ifindex = IN6_IS_ADDR_LINKLOCAL(a) ? interface_index : 0};
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    c->cmsg_level = IPPROTO_IPV6, c->cmsg_type = IPV6_PKTINFO, c->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(c), &info, sizeof info);
    return CMSG_SPACE(sizeof info);
  }
  return 0;
}

uint8_t *cdatagram_send_bytes(cdatagram_batch *b, int slot) { return b->tx_bytes + (size_t)slot * (size_t)b->send_size; }

void cdatagram_stage(cdatagram_batch *b, int slot, int from, int length) {
  struct msghdr *h = &b->tx[slot].msg_hdr;
  b->tx_iov[slot] = (struct iovec){cdatagram_send_bytes(b, slot), (size_t)length};
  h->msg_name = &b->peers[from], h->msg_namelen = b->rx[from].msg_hdr.msg_namelen;
  h->msg_control = NULL, h->msg_controllen = 0;
  if (b->rx[from].msg_hdr.msg_controllen == 0) return;
  struct sockaddr_storage local;
  unsigned index;
  cdatagram_local(b, from, &local, &index);
  uint8_t *control = b->tx_control + (size_t)slot * CONTROL_SIZE;
  size_t n = source_control(control, &local, index);
  if (n) h->msg_control = control, h->msg_controllen = n;
}

int cdatagram_flush(cdatagram_batch *b, int count) {
  int done = 0, refused = 0;
  while (done < count) {
    int n = sendmmsg(b->fd, b->tx + done, (unsigned)(count - done), 0);
    if (n > 0) done += n;
    else if (n < 0 && errno == EINTR) continue;
    else done++, refused++;
  }
  return refused;
}

int cdatagram_want_local_address(int fd, int family) {
  int one = 1;
  if (family == AF_INET6) {
    if (setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof one)) return -errno;
    return 0;
  }
  return setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof one) ? -errno : 0;
}

int cdatagram_send_one(int fd, const void *bytes, int length, const struct sockaddr_storage *peer, socklen_t peer_length,
                       const struct sockaddr_storage *local, unsigned interface_index) {
  _Alignas(struct cmsghdr) uint8_t control[CONTROL_SIZE] = {0};
  struct iovec iov = {(void *)bytes, (size_t)length};
  struct msghdr h = {.msg_name = (void *)peer, .msg_namelen = peer_length, .msg_iov = &iov, .msg_iovlen = 1};
  size_t n = source_control(control, local, interface_index);
  if (n) h.msg_control = control, h.msg_controllen = n;
  for (;;) {
    if (sendmsg(fd, &h, 0) >= 0) return 0;
    if (errno != EINTR) return -errno;
  }
}

void cdatagram_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }
