/// Definitions that stand before every program: what gojq, the original, has and jq 1.6 has not,
/// or has in another way. `_host` asks the worker, which answers with Go's rules.
enum JQPrelude {
  /// Functions that only jq 1.6 has: a program that calls one and does not define it is refused.
  static let absent: Set<String> = [
    "keys_unsorted", "leaf_paths", "lgamma_r", "pow10", "recurse_down", "scalars_or_empty",
    "__loc__", "base32", "base32d",
  ]

  /// On one line, so that errors keep theirs.
  static let text = definitions.joined(separator: " ") + " "

  private static let definitions = numbers + texts + patterns + lists + ["{} as $ENV |"]

  private static let numbers = [
    "def _host($question): $question | debug | input;",
    "def abs: if type != \"number\" then error(\"\\(type) has no absolute value\")",
    "elif . < 0 then -. else . end;",
    "def isnan: if type == \"number\" then . != . else error(\"isnan of \\(type)\") end;",
    "def gamma: tgamma;",
    "def toboolean: if type == \"boolean\" then . elif . == \"true\" then true",
    "elif . == \"false\" then false else error(\"\\(type) is no boolean\") end;",
    "def _times($a; $b): $a * $b;",
    "def _repeated($text; $times): if $times < 0 then null elif $times < 1 then \"\"",
    "else _times($text; $times | floor) end;",
    "def _multiply(a; b): b as $b | a as $a |",
    "if ($a | type) == \"string\" and ($b | type) == \"number\" then _repeated($a; $b)",
    "elif ($b | type) == \"string\" and ($a | type) == \"number\" then _repeated($b; $a)",
    "else _times($a; $b) end;",
    "def _seconds: mktime;",
    "def mktime: if type == \"array\" and length < 8 then . + [0, 0, 1, 0, 0, 0, 0, 0][length:]",
    "else . end | _seconds;",
  ]

  private static let texts = [
    "def tojson: _host([\"tojson\", .]);",
    "def tostring: if type == \"string\" then . else tojson end;",
    "def _format($name): format($name);",
    "def format($name): if $name == \"text\" then tostring elif $name == \"json\" then tojson",
    "else _format($name) end;",
    "def fromjson: if type == \"string\" then _host([\"fromjson\", .])",
    "else error(\"fromjson of \\(type)\") end;",
    "def _number: tonumber;",
    "def tonumber: if type == \"string\" and (_host([\"test\", .,",
    "\"^[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?$\", null]) | not)",
    "then error(\"\\(tojson) is no number\") else _number end;",
    "def ltrimstr($x): if type != \"string\" or ($x | type) != \"string\"",
    "then error(\"ltrimstr of \\(type)\") elif startswith($x) then .[($x | length):] else . end;",
    "def rtrimstr($x): if type != \"string\" or ($x | type) != \"string\"",
    "then error(\"rtrimstr of \\(type)\")",
    "elif endswith($x) and ($x | length) > 0 then .[:length - ($x | length)] else . end;",
    "def trimstr($x): ltrimstr($x) | rtrimstr($x);",
    "def indices($x): if . == null then null elif type == \"string\" and ($x | type) == \"string\" then",
    "(if $x == \"\" then [] else explode | .[$x | explode] end)",
    "elif type == \"array\" and ($x | type) == \"array\" then .[$x] else .[[$x]] end;",
    "def index($x): indices($x) | .[0];",
    "def rindex($x): indices($x) | .[-1];",
  ]

  private static let patterns = [
    "def match($re; $flags): _host([\"match\", ., $re, $flags])[];",
    "def match($re): match($re; null);",
    "def test($re; $flags): _host([\"test\", ., $re, $flags]);",
    "def test($re): test($re; null);",
    "def _named: reduce (.captures[] | select(.name != null)) as $c ({}; .[$c.name] = $c.string);",
    "def capture($re; $flags): match($re; $flags) | _named;",
    "def capture($re): capture($re; null);",
    "def scan($re; $flags): match($re; $flags + \"g\")",
    "| if .captures == [] then .string else [.captures[].string] end;",
    "def scan($re): scan($re; null);",
    "def splits($re; $flags): . as $in | foreach (match($re; $flags + \"g\"), null) as $m",
    "({at: 0}; {from: .at, to: $m.offset, at: ($m.offset + $m.length)}; $in[.from:.to]);",
    "def splits($re): splits($re; null);",
    "def split($re; $flags): [splits($re; $flags)];",
    "def sub($re; f; $flags): . as $in | reduce match($re; $flags) as $m ({at: 0, made: []};",
    ".at as $at | reduce ($m | _named | f) as $text ({n: 0, made: .made};",
    ".made[.n] += $in[$at:$m.offset] + $text | .n += 1)",
    "| {at: ($m.offset + $m.length), made: .made}) | .made[] + $in[.at:] // $in;",
    "def sub($re; f): sub($re; f; null);",
    "def gsub($re; f; $flags): sub($re; f; $flags + \"g\");",
    "def gsub($re; f): gsub($re; f; null);",
    "def ltrim: sub(\"^[\\\\s\\\\x0b\\\\x{85}\\\\p{Z}]+\"; \"\");",
    "def rtrim: sub(\"[\\\\s\\\\x0b\\\\x{85}\\\\p{Z}]+$\"; \"\"); def trim: ltrim | rtrim;",
  ]

  private static let lists = [
    "def limit($n; f): if $n > 0 then label $out | foreach f as $item (0; . + 1;",
    "$item, if . >= $n then break $out else empty end)",
    "elif $n == 0 then empty else error(\"limit doesn't support negative count\") end;",
    "def skip($n; f): if $n > 0 then",
    "foreach f as $item ($n; . - 1; if . < 0 then $item else empty end)",
    "elif $n == 0 then f else error(\"skip doesn't support negative count\") end;",
    "def _at($n): .[$n:] | if . == \"\" then null else .[0:1] end;",
    "def nth($n): if type == \"string\" then _at($n) else .[$n] end;",
    "def first: if type == \"string\" then _at(0) else .[0] end;",
    "def last: if type == \"string\" then _at(-1) else .[-1] end;",
    "def nth($n; f): if $n >= 0 then first(skip($n; f))",
    "else error(\"nth doesn't support negative index\") end;",
    "def last(f): reduce f as $item ([]; [$item]) | .[];",
    "def reverse: if type == \"array\" then [.[length - 1 - range(0; length)]]",
    "else error(\"reverse of \\(type)\") end;",
    "def toarray: if type == \"array\" then . else [.] end;",
    "def pick(f): . as $v | reduce path(f) as $p (null; setpath($p; $v | getpath($p)));",
    "def add(f): reduce f as $x (null; . + $x);",
    "def to_entries: [keys[] as $k | {key: $k, value: .[$k]}];",
    "def with_entries(f): to_entries | map(f) | from_entries;",
    "def _modify(paths; update): reduce path(paths) as $p ({value: ., gone: []}; .value as $v",
    "| [$v | getpath($p) | first(update)] as $new",
    "| if ($new | length) > 0 then .value = ($v | setpath($p; $new[0])) else .gone += [$p] end)",
    "| .gone as $gone | .value | delpaths($gone);",
    "def map_values(f): .[] |= f;",
    "def _columns: transpose;",
    "def transpose: if type == \"array\" then _columns else error(\"transpose of \\(type)\") end;",
    "def env: {};",
  ]
}
