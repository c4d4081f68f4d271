// The functions of the table library (Lua 5.1 reference manual, section 5.5), as the original has
// them at the edges: what lies outside of a list is no error and moves nothing.
#include "clua_internal.h"

static int length(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  return (int)lua_objlen(L, 1);
}

/// Counts elements that are moved in a loop, which no hook sees into.
static void moving(lua_State *L, int from, int to) {
  if (to > from) clua_steps(L, (to - from) / 8);
}

static int insert(lua_State *L) {
  int count = length(L);
  int top = lua_gettop(L);
  if (top == 1) return luaL_error(L, "wrong number of arguments");
  if (top == 2) {
    lua_rawseti(L, 1, count + 1);
    return 0;
  }
  lua_settop(L, 3);
  int place = (int)luaL_checkinteger(L, 2);
  if (place >= 1 && place <= count) {
    moving(L, place, count);
    for (int at = count; at >= place; at--) {
      lua_rawgeti(L, 1, at);
      lua_rawseti(L, 1, at + 1);
    }
  }
  lua_rawseti(L, 1, place);
  return 0;
}

static int take(lua_State *L) {
  int count = length(L);
  int place = lua_gettop(L) == 1 ? -1 : (int)luaL_checkinteger(L, 2);
  if (count == 0 || place > count) {
    lua_pushnil(L);
    return 1;
  }
  // From the end, whatever the place before the first.
  if (place < 1) place = count;
  moving(L, place, count);
  lua_rawgeti(L, 1, place);
  for (int at = place; at < count; at++) {
    lua_rawgeti(L, 1, at + 1);
    lua_rawseti(L, 1, at);
  }
  lua_pushnil(L);
  lua_rawseti(L, 1, count);
  return 1;
}

static int concat(lua_State *L) {
  int count = length(L);
  size_t size;
  const char *separator = luaL_optlstring(L, 2, "", &size);
  int first = (int)luaL_optinteger(L, 3, 1);
  int last = (int)luaL_optinteger(L, 4, count);
  if (lua_gettop(L) == 3 && (first > count || first < 1)) {
    lua_pushliteral(L, "");
    return 1;
  }
  if (first > count) first = count;
  if (first < 1) first = 1;
  if (last > count) last = count;
  moving(L, first, last);
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  for (int at = first; at <= last; at++) {
    if (at > first) luaL_addlstring(&out, separator, size);
    lua_rawgeti(L, 1, at);
    if (!lua_isstring(L, -1)) {
      return luaL_error(L, "invalid value (%s) at index %d in table for concat",
                        luaL_typename(L, -1), at);
    }
    if (lua_type(L, -1) == LUA_TNUMBER) {
      clua_push_number_text(L, lua_tonumber(L, -1));
      lua_remove(L, -2);
    }
    luaL_addvalue(&out);
  }
  luaL_pushresult(&out);
  return 1;
}

void clua_open_tables(lua_State *L) {
  static const luaL_Reg functions[] = {{"insert", insert}, {"remove", take}, {"concat", concat}};
  for (size_t place = 0; place < sizeof functions / sizeof functions[0]; place++) {
    lua_pushcfunction(L, functions[place].func);
    lua_setfield(L, -2, functions[place].name);
  }
  static const char *const removed[] = {"foreach", "foreachi", "setn"};
  for (size_t place = 0; place < sizeof removed / sizeof removed[0]; place++) {
    lua_pushnil(L);
    lua_setfield(L, -2, removed[place]);
  }
}
