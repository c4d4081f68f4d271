#include "clua_internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int unavailable(lua_State *L) {
  return luaL_error(L, "'%s' is not available", lua_tostring(L, lua_upvalueindex(1)));
}

static int silent(lua_State *L) {
  (void)L;
  return 0;
}

static int collect(lua_State *L) {
  lua_pushinteger(L, 0);
  return 1;
}

// Numbers print as the original prints them: whole ones with all their digits, others with as
// many as it takes to read the same number back.
void clua_push_number_text(lua_State *L, double number) {
  char text[64];
  if (number == (double)(int64_t)number && fabs(number) < 9.2e18) {
    snprintf(text, sizeof text, "%lld", (long long)number);
    lua_pushstring(L, text);
    return;
  }
  if (isnan(number) || isinf(number)) {
    lua_pushstring(L, isnan(number) ? "NaN" : number < 0 ? "-Inf" : "+Inf");
    return;
  }
  int digits = 1;
  do {
    snprintf(text, sizeof text, "%.*e", digits - 1, number);
  } while (strtod(text, NULL) != number && ++digits <= 17);
  int exponent = atoi(strchr(text, 'e') + 1);
  if (exponent >= -4 && exponent < 6) {
    int places = digits - 1 - exponent;
    snprintf(text, sizeof text, "%.*f", places > 0 ? places : 0, number);
  }
  lua_pushstring(L, text);
}

static int to_string(lua_State *L) {
  if (lua_type(L, 1) == LUA_TNUMBER) {
    clua_push_number_text(L, lua_tonumber(L, 1));
    return 1;
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

static int repeat(lua_State *L) {
  size_t count;
  luaL_checklstring(L, 1, &count);
  lua_Number times = luaL_checknumber(L, 2);
  if (count == 0 || times < 1) {
    lua_pushliteral(L, "");
    return 1;
  }
  if ((double)count * times > (double)clua_job_of(L)->limits.memory_max) {
    clua_spend(L, "too much memory");
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

// Moves elements in a loop of its own, which no hook sees into.
static int moving(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  clua_steps(L, (int64_t)lua_objlen(L, 1) / 8);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

static int now(lua_State *L) {
  if (lua_isnoneornil(L, 1)) {
    lua_pushnumber(L, (lua_Number)clua_job_of(L)->limits.now);
    return 1;
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

static int date(lua_State *L) {
  if (lua_gettop(L) < 1) lua_pushliteral(L, "%c");
  lua_settop(L, lua_gettop(L) < 2 ? 1 : 2);
  if (lua_isnoneornil(L, 2)) {
    lua_settop(L, 1);
    lua_pushnumber(L, (lua_Number)clua_job_of(L)->limits.now);
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 2, 1);
  return 1;
}

// The table on top: `name` becomes `function`, which finds the old value as its upvalue.
static void wrap(lua_State *L, const char *name, lua_CFunction function) {
  lua_getfield(L, -1, name);
  lua_pushcclosure(L, function, 1);
  lua_setfield(L, -2, name);
}

static void open(lua_State *L, const char *name, lua_CFunction function) {
  lua_pushcfunction(L, function);
  lua_pushstring(L, name);
  lua_call(L, 1, 0);
}

static void open_base(lua_State *L) {
  static const char *const refused[] = {"require",  "module", "load",  "loadstring",
                                        "loadfile", "dofile", NULL};
  open(L, "", luaopen_base);
  lua_pushvalue(L, LUA_GLOBALSINDEX);
  for (int place = 0; refused[place] != NULL; place++) {
    lua_pushstring(L, refused[place]);
    lua_pushcclosure(L, unavailable, 1);
    lua_setfield(L, -2, refused[place]);
  }
  wrap(L, "tostring", to_string);
  lua_pushcfunction(L, silent);
  lua_setfield(L, -2, "print");
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "collectgarbage");
  // Proxies have finalizers, which run where no hook stops them.
  static const char *const removed[] = {"newproxy", "coroutine", "gcinfo", NULL};
  for (int place = 0; removed[place] != NULL; place++) {
    lua_pushnil(L);
    lua_setfield(L, -2, removed[place]);
  }
  lua_pop(L, 1);
}

void clua_open_libraries(lua_State *L) {
  open_base(L);
  open(L, LUA_TABLIBNAME, luaopen_table);
  open(L, LUA_STRLIBNAME, luaopen_string);
  open(L, LUA_MATHLIBNAME, luaopen_math);
  open(L, LUA_OSLIBNAME, luaopen_os);

  lua_getglobal(L, LUA_TABLIBNAME);
  wrap(L, "insert", moving);
  wrap(L, "remove", moving);
  wrap(L, "concat", moving);
  wrap(L, "sort", moving);
  wrap(L, "maxn", moving);
  lua_pop(L, 1);

  lua_getglobal(L, LUA_STRLIBNAME);
  lua_pushnil(L);
  lua_setfield(L, -2, "dump");
  wrap(L, "rep", repeat);
  clua_open_patterns(L);
  lua_pop(L, 1);

  // Of the system only time is visible.
  static const char *const kept[] = {"time", "date", "clock", "difftime", NULL};
  lua_getglobal(L, LUA_OSLIBNAME);
  lua_newtable(L);
  for (int place = 0; kept[place] != NULL; place++) {
    lua_getfield(L, -2, kept[place]);
    lua_setfield(L, -2, kept[place]);
  }
  wrap(L, "time", now);
  wrap(L, "date", date);
  lua_setglobal(L, LUA_OSLIBNAME);
  lua_pop(L, 1);
}
