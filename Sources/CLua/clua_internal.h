#pragma once
#include "CLua.h"
#include <lua5.1/lauxlib.h>
#include <lua5.1/lua.h>
#include <lua5.1/lualib.h>

/// One run: what it may still use and what came of it.
typedef struct {
  clua_limits limits;
  const char *script;
  size_t script_count;
  const unsigned char *tape;
  size_t tape_count;
  size_t tape_at;
  size_t memory;
  int64_t instructions;
  int64_t steps;
  int64_t started;
  int is_spent;
  int is_syntax;
  int only_truth;
  unsigned char *out;
  size_t out_count;
  size_t out_room;
  /// What `string.format` made last.
  unsigned char *scratch;
} clua_job;

/// The job of a state; it is the allocator's user data.
clua_job *clua_job_of(lua_State *L);
/// Raises the error that ends a run.
void clua_spend(lua_State *L, const char *what);
/// Counts steps of a function that the instruction hook does not see into.
void clua_steps(lua_State *L, int64_t steps);
/// A number as the original prints it.
void clua_push_number_text(lua_State *L, double number);
/// Puts the string functions that search into the table on top of the stack.
void clua_open_patterns(lua_State *L);
/// Puts functions into the library table on top of the stack.
void clua_open_texts(lua_State *L);
void clua_open_numbers(lua_State *L);
void clua_open_tables(lua_State *L);
void clua_open_times(lua_State *L);
/// Puts functions into the globals, which are on top of the stack.
void clua_open_conversions(lua_State *L);
/// Opens the libraries a script may use.
void clua_open_libraries(lua_State *L);
