#include "clua_internal.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const int hook_period = 100;
static const int depth_max = 100;

clua_job *clua_job_of(lua_State *L) {
  void *job = NULL;
  lua_getallocf(L, &job);
  return job;
}

static int64_t processor_time(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void *allocate(void *data, void *block, size_t old_size, size_t size) {
  clua_job *job = data;
  size_t old = block == NULL ? 0 : old_size;
  if (size == 0) {
    job->memory -= old;
    free(block);
    return NULL;
  }
  if (size > old && job->memory - old + size > job->limits.memory_max) {
    job->is_spent = 1;
    return NULL;
  }
  void *grown = realloc(block, size);
  if (grown != NULL) job->memory = job->memory - old + size;
  return grown;
}

static void hook(lua_State *L, lua_Debug *record) {
  (void)record;
  clua_job *job = clua_job_of(L);
  job->instructions += hook_period;
  if (job->instructions > job->limits.instructions_max) clua_spend(L, "too many instructions");
  if (processor_time() - job->started > job->limits.time_max) clua_spend(L, "too much time");
}

void clua_spend(lua_State *L, const char *what) {
  clua_job_of(L)->is_spent = 1;
  // A pcall may catch this one: then the very next instruction raises it again.
  lua_sethook(L, hook, LUA_MASKCOUNT, 1);
  clua_job_of(L)->instructions = INT64_MAX - hook_period - 1;
  luaL_error(L, "the script takes %s", what);
}

void clua_steps(lua_State *L, int64_t steps) {
  clua_job *job = clua_job_of(L);
  job->steps += steps;
  if (job->steps > job->limits.steps_max) clua_spend(L, "too many steps");
}

// MARK: the tape

static uint64_t read_word(lua_State *L, clua_job *job) {
  uint64_t word;
  if (job->tape_count - job->tape_at < sizeof word) luaL_error(L, "the tape is torn");
  memcpy(&word, job->tape + job->tape_at, sizeof word);
  job->tape_at += sizeof word;
  return word;
}

static void push_text(lua_State *L, clua_job *job) {
  uint64_t count = read_word(L, job);
  if (job->tape_count - job->tape_at < count) luaL_error(L, "the tape is torn");
  lua_pushlstring(L, (const char *)job->tape + job->tape_at, count);
  job->tape_at += count;
}

static void push_value(lua_State *L, clua_job *job) {
  luaL_checkstack(L, 4, "nested too deep");
  if (job->tape_at >= job->tape_count) luaL_error(L, "the tape is torn");
  unsigned char tag = job->tape[job->tape_at++];
  switch (tag) {
  case 't':
  case 'f':
    lua_pushboolean(L, tag == 't');
    break;
  case 'd': {
    uint64_t word = read_word(L, job);
    double number;
    memcpy(&number, &word, sizeof number);
    lua_pushnumber(L, number);
    break;
  }
  case 's':
    push_text(L, job);
    break;
  case '[':
  case '{': {
    uint64_t count = read_word(L, job);
    lua_newtable(L);
    for (uint64_t place = 1; place <= count; place++) {
      if (tag == '[') {
        push_value(L, job);
        lua_rawseti(L, -2, (int)place);
      } else {
        push_text(L, job);
        push_value(L, job);
        lua_rawset(L, -3);
      }
    }
    break;
  }
  default:
    lua_pushnil(L);
  }
}

static void put(lua_State *L, const void *bytes, size_t count) {
  clua_job *job = clua_job_of(L);
  if (job->out_count + count > job->limits.result_max) clua_spend(L, "too much space");
  if (job->out_count + count > job->out_room) {
    size_t room = (job->out_count + count) * 2;
    unsigned char *grown = realloc(job->out, room);
    if (grown == NULL) luaL_error(L, "out of memory");
    job->out = grown;
    job->out_room = room;
  }
  memcpy(job->out + job->out_count, bytes, count);
  job->out_count += count;
}

static void put_tag(lua_State *L, char tag) { put(L, &tag, 1); }

static void put_word(lua_State *L, uint64_t word) { put(L, &word, sizeof word); }

static void put_text(lua_State *L, const char *text, size_t count) {
  put_word(L, count);
  put(L, text, count);
}

static void put_value(lua_State *L, int depth);

static int forces_array(lua_State *L) {
  if (!lua_getmetatable(L, -1)) return 0;
  lua_pushliteral(L, "__is_array");
  lua_rawget(L, -2);
  int forces = lua_type(L, -1) == LUA_TBOOLEAN && lua_toboolean(L, -1);
  lua_pop(L, 2);
  return forces;
}

// The highest whole key above zero makes a table a list of that length.
static void put_table(lua_State *L, int depth) {
  const double index_max = 67108864;
  double highest = 0;
  uint64_t count = 0;
  if (depth > depth_max) luaL_error(L, "the result is nested too deep");
  luaL_checkstack(L, 6, "nested too deep");
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    count++;
    if (lua_type(L, -2) != LUA_TNUMBER) continue;
    double key = lua_tonumber(L, -2);
    if (key >= 1 && key < index_max && key == (double)(int64_t)key && key > highest) highest = key;
  }
  if (highest > 0 || forces_array(L)) {
    put_tag(L, '[');
    put_word(L, (uint64_t)highest);
    for (int place = 1; place <= (int)highest; place++) {
      lua_rawgeti(L, -1, place);
      put_value(L, depth + 1);
      lua_pop(L, 1);
    }
    return;
  }
  put_tag(L, '{');
  put_word(L, count);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    size_t size = 0;
    switch (lua_type(L, -2)) {
    case LUA_TSTRING: {
      const char *text = lua_tolstring(L, -2, &size);
      put_text(L, text, size);
      break;
    }
    case LUA_TNUMBER: {
      clua_push_number_text(L, lua_tonumber(L, -2));
      const char *text = lua_tolstring(L, -1, &size);
      put_text(L, text, size);
      lua_pop(L, 1);
      break;
    }
    case LUA_TBOOLEAN:
      put_text(L, lua_toboolean(L, -2) ? "true" : "false", lua_toboolean(L, -2) ? 4 : 5);
      break;
    default:
      luaL_error(L, "a %s cannot be a key of the result", luaL_typename(L, -2));
    }
    put_value(L, depth + 1);
  }
}

static void put_value(lua_State *L, int depth) {
  switch (lua_type(L, -1)) {
  case LUA_TNIL:
    put_tag(L, 'n');
    break;
  case LUA_TBOOLEAN:
    put_tag(L, lua_toboolean(L, -1) ? 't' : 'f');
    break;
  case LUA_TNUMBER: {
    double number = lua_tonumber(L, -1);
    uint64_t word;
    memcpy(&word, &number, sizeof word);
    put_tag(L, 'd');
    put_word(L, word);
    break;
  }
  case LUA_TSTRING: {
    size_t count;
    const char *text = lua_tolstring(L, -1, &count);
    put_tag(L, 's');
    put_text(L, text, count);
    break;
  }
  case LUA_TTABLE:
    put_table(L, depth);
    break;
  default:
    luaL_error(L, "a %s cannot be a result", luaL_typename(L, -1));
  }
}

// MARK: a run

static int body(lua_State *L) {
  clua_job *job = lua_touserdata(L, 1);
  lua_settop(L, 0);
  clua_open_libraries(L);
  if (luaL_loadbuffer(L, job->script, job->script_count, "=<string>") != 0) {
    job->is_syntax = 1;
    return lua_error(L);
  }
  if (job->tape == NULL) return 0;
  push_value(L, job);
  lua_setglobal(L, "event");
  lua_sethook(L, hook, LUA_MASKCOUNT, hook_period);
  lua_call(L, 0, LUA_MULTRET);
  lua_sethook(L, NULL, 0, 0);
  if (lua_gettop(L) == 0) lua_pushnil(L);
  if (job->only_truth) {
    put_tag(L, lua_type(L, -1) == LUA_TBOOLEAN && lua_toboolean(L, -1) ? 't' : 'f');
  } else {
    put_value(L, 0);
  }
  return 0;
}

static clua_result failure(clua_outcome outcome, const char *words) {
  size_t count = strlen(words);
  unsigned char *copy = malloc(count + 1);
  if (copy != NULL) memcpy(copy, words, count + 1);
  return (clua_result){outcome, copy, copy == NULL ? 0 : count};
}

clua_result clua_run(const char *script, size_t script_count, const unsigned char *tape,
                     size_t tape_count, int only_truth, clua_limits limits) {
  // Compiled chunks are not checked by Lua and can break out of it.
  if (script_count > 0 && script[0] == '\x1b') {
    return failure(clua_syntax, "<string>:1: compiled chunks are not run");
  }
  clua_job job = {.limits = limits,
                  .script = script,
                  .script_count = script_count,
                  .tape = tape,
                  .tape_count = tape_count,
                  .only_truth = only_truth,
                  .started = processor_time()};
  lua_State *L = lua_newstate(allocate, &job);
  if (L == NULL) return failure(clua_limit, "the script takes too much memory");
  int status = lua_cpcall(L, body, &job);
  clua_result result;
  if (status == 0) {
    result = (clua_result){clua_done, job.out, job.out_count};
  } else {
    clua_outcome outcome = job.is_spent || status == LUA_ERRMEM ? clua_limit
                           : job.is_syntax                      ? clua_syntax
                                                                : clua_failed;
    // Only a text is read: turning another value into one could fail.
    const char *words = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, NULL)
                                                       : "the script raised a value, not a text";
    result = failure(outcome, words);
    free(job.out);
  }
  lua_close(L);
  free(job.scratch);
  return result;
}

void clua_release(clua_result result) { free(result.bytes); }
