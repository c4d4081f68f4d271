#include "CJQ.h"
#include <jq.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct cjq_program {
  jq_state *state;
  cjq_host host;
  /// To the question asked last.
  jv answer;
};

static char *text_of(jv value, size_t *count) {
  size_t size = (size_t)jv_string_length_bytes(jv_copy(value));
  char *copy = malloc(size + 1);
  if (copy != NULL) {
    memcpy(copy, jv_string_value(value), size);
    copy[size] = '\0';
    *count = size;
  }
  jv_free(value);
  return copy;
}

// The first of the messages says what is wrong; the others count them.
static void remember(void *data, jv message) {
  char **words = data;
  size_t count;
  jv text = jq_format_error(message);
  if (*words == NULL && jv_get_kind(text) == JV_KIND_STRING) {
    *words = text_of(text, &count);
  } else {
    jv_free(text);
  }
}

// A program asks by `debug`, which takes the question here, and `input`, which gives the answer.
static void ask(void *data, jv question) {
  cjq_program *program = data;
  jv_free(program->answer);
  program->answer = jv_invalid_with_msg(jv_string("the worker gives no answer"));
  jv text = jv_dump_string(question, 0);
  size_t count = 0;
  char *answer = program->host(jv_string_value(text), (size_t)jv_string_length_bytes(jv_copy(text)),
                               &count);
  jv_free(text);
  if (answer == NULL) return;
  jv value = jv_parse_sized(answer, (int)count);
  free(answer);
  jv_free(program->answer);
  switch (jv_get_kind(value)) {
  case JV_KIND_ARRAY: program->answer = jv_array_get(value, 0); break;
  case JV_KIND_STRING: program->answer = jv_invalid_with_msg(value); break;
  default:
    jv_free(value);
    program->answer = jv_invalid_with_msg(jv_string("the worker's answer cannot be read"));
  }
}

static jv answer(jq_state *state, void *data) {
  (void)state;
  cjq_program *program = data;
  jv value = program->answer;
  program->answer = jv_null();
  return value;
}

// JSON has no number for these.
static int has_no_number(jv value) {
  int found = 0;
  switch (jv_get_kind(value)) {
  case JV_KIND_NUMBER: {
    double number = jv_number_value(value);
    found = isnan(number) || isinf(number);
    break;
  }
  case JV_KIND_ARRAY:
    jv_array_foreach(value, place, item) {
      found |= has_no_number(jv_copy(item));
      jv_free(item);
    }
    break;
  case JV_KIND_OBJECT:
    jv_object_foreach(value, key, item) {
      jv_free(key);
      found |= has_no_number(jv_copy(item));
      jv_free(item);
    }
    break;
  default: break;
  }
  jv_free(value);
  return found;
}

cjq_program *cjq_compile(const char *text, cjq_host host, char **words) {
  *words = NULL;
  jq_state *state = jq_init();
  if (state == NULL) return NULL;
  jq_set_error_cb(state, remember, words);
  int compiled = jq_compile(state, text);
  jq_set_error_cb(state, NULL, NULL);
  cjq_program *program = compiled ? malloc(sizeof *program) : NULL;
  if (program == NULL) {
    jq_teardown(&state);
    return NULL;
  }
  free(*words);
  *words = NULL;
  program->state = state;
  program->host = host;
  program->answer = jv_null();
  jq_set_debug_cb(state, ask, program);
  jq_set_input_cb(state, answer, program);
  return program;
}

static cjq_result result_of(cjq_status status, jv text) {
  cjq_result result = {status, NULL, 0};
  result.bytes = text_of(text, &result.count);
  return result;
}

static cjq_result error_of(cjq_status status, jv invalid) {
  jv message = jv_invalid_get_msg(invalid);
  if (jv_get_kind(message) != JV_KIND_STRING) message = jv_dump_string(message, 0);
  return result_of(status, message);
}

cjq_result cjq_run(cjq_program *program, const char *data, size_t count) {
  jv input = jv_parse_sized(data, (int)count);
  if (!jv_is_valid(input)) return error_of(cjq_bad_input, input);
  jq_start(program->state, input, 0);
  jv output = jq_next(program->state);
  if (jv_is_valid(output)) {
    int is_unfit = has_no_number(jv_copy(output));
    cjq_result result = result_of(cjq_value, jv_dump_string(output, JV_PRINT_SORTED));
    // To the end, which programs that stop behind their first output reach at once.
    jv rest = jq_next(program->state);
    while (jv_is_valid(rest)) {
      jv_free(rest);
      rest = jq_next(program->state);
    }
    jv_free(rest);
    if (!is_unfit) return result;
    cjq_release(result);
    return result_of(cjq_error, jv_string("the output has a number that JSON has not"));
  }
  if (jv_invalid_has_msg(jv_copy(output))) return error_of(cjq_error, output);
  jv_free(output);
  return (cjq_result){cjq_nothing, NULL, 0};
}

void cjq_release(cjq_result result) { free(result.bytes); }

void cjq_free(cjq_program *program) {
  jv_free(program->answer);
  jq_teardown(&program->state);
  free(program);
}

int cjq_limit_space(rlim_t bytes) {
  struct rlimit limit = {bytes, bytes};
  return setrlimit(RLIMIT_AS, &limit);
}

int cjq_limit_files(rlim_t count) {
  struct rlimit limit = {count, count};
  return setrlimit(RLIMIT_NOFILE, &limit);
}

int cjq_limit_core(void) {
  struct rlimit limit = {0, 0};
  return setrlimit(RLIMIT_CORE, &limit);
}

int cjq_limit_time(rlim_t seconds) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_CPU, &limit) != 0) return -1;
  limit.rlim_cur = seconds < limit.rlim_max ? seconds : limit.rlim_max;
  return setrlimit(RLIMIT_CPU, &limit);
}
