#pragma once
#include <stddef.h>
#include <stdint.h>

// Lua 5.1 in a box. Everything that can raise a Lua error, which jumps over frames, happens on
// this side; Swift sees bytes going in and bytes coming out.
//
// Values travel as a tape: 'n' nil, 't' true, 'f' false, 'd' and 8 bytes of a double, 's' and
// 8 bytes of length and the text, '[' and 8 bytes of count and the items, '{' and 8 bytes of
// count and key, value for each (keys are texts). Integers and doubles are in host order.

#if __has_feature(nullability)
#pragma clang assume_nonnull begin
#endif

/// Formats a text: of a tape, the format and the values it names. What it gives is freed with
/// `free`; NULL where it would be longer than `max`.
typedef unsigned char *_Nullable (*clua_format)(const unsigned char *tape, size_t count, size_t max,
                                                size_t *out_count);

typedef struct {
  /// Bytes that the state may hold at a time.
  size_t memory_max;
  /// Instructions of the virtual machine.
  int64_t instructions_max;
  /// Characters looked at by pattern functions, and moved by table functions.
  int64_t steps_max;
  /// Processor time, in nanoseconds; the last resort.
  int64_t time_max;
  /// Bytes of one result.
  size_t result_max;
  /// What `os.time` answers, in seconds since 1970.
  int64_t now;
  /// What `string.format` does.
  clua_format format;
} clua_limits;

typedef enum { clua_done, clua_syntax, clua_failed, clua_limit } clua_outcome;

typedef struct {
  clua_outcome outcome;
  /// The tape of the last value the script returned, or the words of an error; freed with
  /// `clua_release`.
  unsigned char *_Nullable bytes;
  size_t count;
} clua_result;

/// Runs a script with the tape as its global `event`; with a null tape it is only compiled. With
/// `only_truth` the result is 't' or 'f': whether the last value is exactly true.
clua_result clua_run(const char *script, size_t script_count,
                     const unsigned char *_Nullable tape, size_t tape_count, int only_truth,
                     clua_limits limits);

void clua_release(clua_result result);

#if __has_feature(nullability)
#pragma clang assume_nonnull end
#endif
