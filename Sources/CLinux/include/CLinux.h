#pragma once

// What Swift cannot reach on its own: headers its Glibc module leaves out, variadic system
// calls, and one checksum that wants a CPU instruction.

#include <stddef.h>
#include <stdint.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>

/// pidfd_open(2): a descriptor that becomes readable when the process ends, or -1 with errno.
int clinux_pidfd_open(pid_t pid);

/// epoll_ctl(2) and epoll_wait(2) with a plain token in place of the union. The wait fills at
/// most `capacity` (256 at the most) entries of `ready`.
struct clinux_ready {
  uint64_t token;
  uint32_t events;
};
int clinux_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t token);
int clinux_epoll_wait(int epoll, struct clinux_ready *ready, int capacity, int milliseconds);

/// accept4(2): the next connection, non-blocking and closed on exec.
int clinux_accept(int listener);

/// Handles `signal` by adding one to the eventfd `fd`; one descriptor for the whole process.
/// 0, or -1 with errno. (Blocking and signalfd do not do: the main thread of a Swift program waits
/// in sigsuspend with nothing blocked.)
int clinux_forward_signal(int signal, int fd);

/// Names the calling thread (the first 15 bytes of `name`), as `ps -L` and debuggers show it.
void clinux_set_thread_name(const char *name);

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `length` bytes, continuing from `crc`
/// (0 to start). Uses SSE4.2 or the ARMv8 CRC extension where the processor has it.
uint32_t clinux_crc32c(uint32_t crc, const void *bytes, size_t length);

/// The same by table only; tests compare both.
uint32_t clinux_crc32c_portable(uint32_t crc, const void *bytes, size_t length);
