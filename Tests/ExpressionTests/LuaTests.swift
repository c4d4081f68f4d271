import Expression
import JSON
import Testing

private func document(_ text: String) throws -> JSON { try JSON(parsing: Array(text.utf8)) }

@Suite struct LuaTests {
  @Test(
    "a script sees nothing but its event",
    arguments: [
      "require 'os'", "load(function() end)", "loadstring('return 1')", "dofile('/etc/passwd')",
      "loadfile('/etc/passwd')", "module('x')", "string.dump(print)", "os.exit(1)",
      "os.getenv('HOME')", "os.execute('true')", "os.remove('x')", "io.write('x')",
      "debug.getregistry()", "package.path = 'x'", "newproxy(true)", "coroutine.create(print)",
    ]
  )
  func closed(script: String) throws {
    #expect(throws: LuaError.self) { try LuaScript(script).passes([:], now: 0) }
  }

  @Test(
    "a script without end is ended",
    arguments: [
      "while true do end",
      "while true do pcall(function() while true do end end) end",
      "local function f() return pcall(f) end while true do f() end",
      "local t = {} for i = 1, 1e9 do t[i] = i end",
      "local s = 'x' while true do s = s .. s end",
      "return ('x'):rep(1e9)",
      "return ('a'):rep(5000):find(('.-'):rep(20) .. 'b') == nil",
      "return ('a'):rep(30000):match('(a*)(a*)(a*)b') == nil",
      "local s = ('a'):rep(1e6) while true do s:gsub('a', 'b') end",
      "local t = {} for i = 1, 1e7 do table.insert(t, 1, i) end",
      "local s = ('a'):rep(4e6) while true do local x = s:upper() end",
      "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] end return t.x",
    ]
  )
  func bounded(script: String) throws {
    let error = try #require(throws: LuaError.self) { try LuaScript(script).passes([:], now: 0) }
    #expect(error.kind == .limit || error.kind == .execution, "\(error)")
  }

  @Test("results that JSON does not have are refused")
  func results() throws {
    for script in [
      "return {x = 0/0}", "return {x = 1/0}", "return {x = print}", "return {[{}] = 1}",
      "local t = {} t.t = t return t", "return {[50000000] = 1}", "return 5", "",
    ] {
      #expect(throws: LuaError.self, "\(script)") { try LuaScript(script).transform([:], now: 0) }
    }
  }

  @Test(
    "patterns and numbers are those of Lua",
    arguments: [
      ("('key = value'):match('^(%w+)%s*=%s*(%w+)$')", "key"),
      ("('hello world'):gsub('o', '0')", "hell0 w0rld"),
      ("('hello'):gsub('', '-')", "-h-e-l-l-o-"), ("('abc'):gsub('%w', '%0%0')", "aabbcc"),
      ("('$name is'):gsub('%$(%w+)', {name = 'Lua'})", "Lua is"),
      ("('abc'):gsub('b', function(c) return c:upper() end)", "aBc"),
      ("('f(a(b)c)d'):match('%b()')", "(a(b)c)"), ("('THE (quick) fox'):find('%((%a+)%)')", "5"),
      ("('a.b'):find('.', 1, true)", "2"), ("('  x '):match('^%s*(.-)%s*$')", "x"),
      ("('afXb'):gsub('%f[%u]', '|')", "a|b"), ("('abab'):match('(ab)%1')", "ab"),
      ("('abc'):match('()c')", "3"), ("('a-b'):gsub('[%-]', '+')", "a+b"),
      ("('x]y'):match('[]]')", "]"), ("tostring(1/3)", "0.3333333333333333"),
      ("tostring(2^53)", "9007199254740992"), ("tostring(1e21)", "1e+21"),
      ("tostring(-0.00001)", "-1e-05"), ("os.time()", "42"), ("('héß'):upper()", "HÉß"),
      ("('ÀΩЖ\\255'):lower():sub(1, 6)", "àωж"), ("math.huge", "1.7976931348623157e+308"),
      ("('%s|%5s|%d%%'):format(nil, true, 3.9)", "nil| true|3%"), ("('%s'):format(1/0)", "+Inf"),
      ("select(2, pcall(function() error('x') end))", "<string>:1: x"),
      ("os.date('!%Y', 0)", "1970"),
      ("select(2, pcall(error, 'x'))", "<string>:1: x"), ("math.ldexp(1, 1e100)", "0"),
    ]
  )
  func language(expression: String, wanted: String) throws {
    let script = "local x = \(expression) return {x = tostring(x)}"
    #expect(try LuaScript(script).transform([:], now: 42) == ["x": .string(wanted)])
  }

  @Test(
    "at the edges functions do what those of the original do",
    arguments: [
      ("('%5.1f|%x|%q'):format(1.25, -1, 'a\\nb\"')", "  1.2|-1|\"a\\nb\\\"\""),
      ("('%s %s'):format(1)", "1 %!s(MISSING)"), ("('%d'):format('12')", "12"),
      ("('%d'):format('x')", "0"), ("('%5.2f%%'):format(1/3)", " 0.33%"),
      ("('%e'):format(12.5)", "1.250000e+01"), ("('%c'):format(233)", "é"),
      ("('abc'):find('', 10)", "1"), ("('abc'):find('b', 10)", "nil"),
      ("select('#', ('abc'):match('b', 10))", "0"), ("('abc'):gsub('b', 'x', -1)", "axc"),
      ("('abab'):gsub('b', 'x', 0)", "abab"), ("('baba'):gsub('b', 'x', 0)", "xaxa"),
      ("('a-b'):gsub('-', '%-')", "a%-b"),
      ("('abc'):gsub('b', function() return true end)", "ac"), ("('x'):match('%')", "nil"),
      ("pcall(string.find, 'x', '(a')", "false"), ("pcall(string.gsub, 'x', 'x', 1)", "false"),
      ("('a b'):gmatch('^%a')() .. #('a b')", "a3"), ("select('#', ('abc'):byte())", "3"),
      ("string.char(300, -1):byte(1)", "44"), ("tonumber('1e2')", "nil"),
      ("tonumber('1.5', 16)", "1.5"), ("tonumber('0x1F')", "31"), ("tonumber(' 7 ')", "7"),
      ("tonumber('99999999999999999999')", "nil"), ("tonumber('inf')", "nil"),
      ("table.remove({1, 2, 3}, 0)", "3"), ("table.concat({1, 2.5}, ',', 3)", ""),
      ("table.foreach", "nil"), ("os.date('!%j|%c|%x', 0)", "%j|01 Jan 70 00:00 UTC|00/00/00"),
      (
        "os.date('%d.%m.%Y %H', os.time({year = 2024, month = 14, day = 35, hour = 0}))",
        "07.03.2025 00"
      ),
    ]
  )
  func edges(expression: String, wanted: String) throws {
    let script = "local x = \(expression) return {x = tostring(x)}"
    #expect(try LuaScript(script).transform([:], now: 42) == ["x": .string(wanted)])
  }

  @Test("a number that no float holds is an error of the data")
  func range() throws {
    #expect(throws: LuaError.self) {
      try LuaScript("return true").passes(["n": .number("1e400")], now: 0)
    }
  }

  @Test("an error names the line and shows it")
  func errors() throws {
    let error = try #require(throws: LuaError.self) { try LuaScript("local a = 1\n  if a then") }
    #expect(error.kind == .syntax)
    #expect(error.line == 2)
    #expect(error.excerpt == "  if a then\n  ^")
    #expect(throws: LuaError.self) { try LuaScript("\u{1b}Lua") }
  }
}
