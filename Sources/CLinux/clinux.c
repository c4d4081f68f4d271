#define _GNU_SOURCE
#include "CLinux.h"
#include <sys/socket.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <pthread.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

int clinux_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int clinux_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t token) {
  struct epoll_event event = {.events = events, .data = {.u64 = token}};
  return epoll_ctl(epoll, operation, fd, &event);
}

int clinux_epoll_wait(int epoll, struct clinux_ready *ready, int capacity, int milliseconds) {
  struct epoll_event events[256];
  int count = epoll_wait(epoll, events, capacity < 256 ? capacity : 256, milliseconds);
  for (int index = 0; index < count; index++)
    ready[index] = (struct clinux_ready){events[index].data.u64, events[index].events};
  return count;
}

int clinux_accept(int listener) {
  return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

enum { passed_max = 253 };

ssize_t clinux_send_descriptors(int socket, const void *bytes, size_t length, const int *fds,
                                int count) {
  if (count < 1 || count > passed_max) {
    errno = E2BIG;
    return -1;
  }
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(passed_max * sizeof(int))];
  } control;
  memset(&control, 0, sizeof control);
  struct iovec part = {(void *)bytes, length};
  struct msghdr message = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = CMSG_SPACE((size_t)count * sizeof(int))};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
  memcpy(CMSG_DATA(header), fds, (size_t)count * sizeof(int));
  return sendmsg(socket, &message, MSG_NOSIGNAL);
}

ssize_t clinux_receive_descriptors(int socket, void *bytes, size_t length, int *fds, int *count) {
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(passed_max * sizeof(int))];
  } control;
  struct iovec part = {bytes, length};
  struct msghdr message = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};
  *count = 0;
  ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (got < 0) return got;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t size = header->cmsg_len - CMSG_LEN(0);
    memcpy(fds + *count, CMSG_DATA(header), size);
    *count += (int)(size / sizeof(int));
  }
  return got;
}

static volatile int forward_fds[NSIG];

static void forward(int number) {
  int saved = errno;
  uint64_t one = 1;
  ssize_t done = write(forward_fds[number], &one, sizeof one);
  (void)done;
  errno = saved;
}

int clinux_forward_signal(int signal, int fd) {
  if (signal <= 0 || signal >= NSIG) {
    errno = EINVAL;
    return -1;
  }
  forward_fds[signal] = fd;
  struct sigaction action = {.sa_handler = forward, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  return sigaction(signal, &action, NULL);
}

void clinux_set_thread_name(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

// Slicing-by-8: eight tables, one lookup per byte, eight bytes per step.
static uint32_t table[8][256];
static pthread_once_t table_made = PTHREAD_ONCE_INIT;

static void make_table(void) {
  for (uint32_t n = 0; n < 256; n++) {
    uint32_t crc = n;
    for (int bit = 0; bit < 8; bit++) crc = (crc & 1) ? (crc >> 1) ^ 0x82f63b78u : crc >> 1;
    table[0][n] = crc;
  }
  for (uint32_t n = 0; n < 256; n++)
    for (int slice = 1; slice < 8; slice++)
      table[slice][n] = (table[slice - 1][n] >> 8) ^ table[0][table[slice - 1][n] & 0xff];
}

uint32_t clinux_crc32c_portable(uint32_t crc, const void *bytes, size_t length) {
  pthread_once(&table_made, make_table);
  const uint8_t *next = bytes;
  uint64_t sum = crc ^ 0xffffffffu;
  while (length >= 8) {
    uint64_t word;
    memcpy(&word, next, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    sum ^= word;
    sum = table[7][sum & 0xff] ^ table[6][(sum >> 8) & 0xff] ^ table[5][(sum >> 16) & 0xff] ^
          table[4][(sum >> 24) & 0xff] ^ table[3][(sum >> 32) & 0xff] ^
          table[2][(sum >> 40) & 0xff] ^ table[1][(sum >> 48) & 0xff] ^ table[0][sum >> 56];
    next += 8;
    length -= 8;
  }
  while (length--) sum = table[0][(sum ^ *next++) & 0xff] ^ (sum >> 8);
  return (uint32_t)sum ^ 0xffffffffu;
}

#if defined(__x86_64__)

#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const void *bytes,
                                                                size_t length) {
  const uint8_t *next = bytes;
  uint64_t sum = crc ^ 0xffffffffu;
  while (length >= 8) {
    uint64_t word;
    memcpy(&word, next, 8);
    sum = _mm_crc32_u64(sum, word);
    next += 8;
    length -= 8;
  }
  while (length--) sum = _mm_crc32_u8((uint32_t)sum, *next++);
  return (uint32_t)sum ^ 0xffffffffu;
}

uint32_t clinux_crc32c(uint32_t crc, const void *bytes, size_t length) {
  return __builtin_cpu_supports("sse4.2") ? crc32c_sse42(crc, bytes, length)
                                          : clinux_crc32c_portable(crc, bytes, length);
}

#elif defined(__aarch64__)

#include <arm_acle.h>
#include <sys/auxv.h>
#include <asm/hwcap.h>

__attribute__((target("+crc"))) static uint32_t crc32c_arm(uint32_t crc, const void *bytes,
                                                            size_t length) {
  const uint8_t *next = bytes;
  uint32_t sum = crc ^ 0xffffffffu;
  while (length >= 8) {
    uint64_t word;
    memcpy(&word, next, 8);
    sum = __crc32cd(sum, word);
    next += 8;
    length -= 8;
  }
  while (length--) sum = __crc32cb(sum, *next++);
  return sum ^ 0xffffffffu;
}

uint32_t clinux_crc32c(uint32_t crc, const void *bytes, size_t length) {
  return (getauxval(AT_HWCAP) & HWCAP_CRC32) ? crc32c_arm(crc, bytes, length)
                                             : clinux_crc32c_portable(crc, bytes, length);
}

#else

uint32_t clinux_crc32c(uint32_t crc, const void *bytes, size_t length) {
  return clinux_crc32c_portable(crc, bytes, length);
}

#endif
