import Expression
import Foundation
import JSON
import TestKit
import Testing

/// The world of the tests: a clock that stands, the machine's zones, dice that roll.
private let templateWorld = TemplateWorld(
  now: { GoTime(seconds: 1_750_000_000, nanoseconds: 0, zone: .utc) },
  zoneFile: { name in
    (try? Data(contentsOf: URL(fileURLWithPath: "/usr/share/zoneinfo/" + name))).map { [UInt8]($0) }
  },
  random: { UInt64.random(in: 0 ... .max) }
)

@Suite struct TemplateTests {
  private let data: JSON = [
    "n": 3, "s": "héllo wörld", "list": [1, "a", nil, [true]], "m": ["b": 1, "a": ["x": nil]],
    "bytes": "€uro",
  ]

  private func run(_ text: String, _ limits: TemplateLimits = TemplateLimits()) throws -> String {
    try GoTemplate(parsing: text).execute(data, limits: limits, in: templateWorld)
  }

  @Test(
    "text/template and fmt beyond the vectors",
    arguments: [
      ("{{ range $i, $c := list 1 2 }}{{ $i }}{{ $c }}{{ else }}x{{ end }}", "0112"),
      ("{{ $x := 1 }}{{ range $x = list 5 6 }}{{ end }}{{ $x }}", "6"),
      ("{{ range 2 }}{{ if eq . 1 }}{{ break }}{{ end }}{{ . }}{{ end }}", "0"),
      ("{{ with $x := 0 }}a{{ else with $x }}b{{ else }}c{{ end }}", "c"),
      (
        "{{ printf \"%[2]*[1]d|%5d|%-4t|%[9]d\" 7 4 \"x\" }}",
        "   7|    4|%!t(string=x   )|%!d(BADINDEX)"
      ),
      ("{{ printf \"%3c|%-4q|%#U\" 65 66 0x1F600 }}", "  A|'B' |U+1F600 '😀'"),
      (
        "{{ printf \"%6.2f|%-8v|%08.3f|%+.1e\" 3.14159 true -3.14159 123456.789 }}",
        "  3.14|true    |-003.142|+1.2e+05"
      ),
      ("{{ printf \"%v %s %d\" (list 1 nil) (list \"a\") (list 1 2) }}", "[1 <nil>] [a] [1 2]"),
      ("{{ printf \"%t %v %5t|\" true nil false }}", "true <nil> false|"),
      ("{{ printf \"a%-\" }}", "a%!(NOVERB)"), ("{{ printf \"%z\" 1 }}", "%!z(int=1)"),
      ("{{ len .s }} {{ .s | trunc 2 | b64enc }}", "13 aMM="),
      (
        "{{ index .m \"a\" \"x\" }}|{{ .m.a.x }}|{{ .m }}",
        "<no value>|<no value>|map[a:map[x:<nil>] b:1]"
      ),
      (
        "{{ toJson .list }}{{ toPrettyJson (dict) }}{{ toRawJson \"<&>\\\\u003c\" }}",
        "[1,\"a\",null,[true]]{}\"<&>\\\\u003c\""
      ),
      ("{{ rest (list 1) | toJson }}{{ initial (list) | toJson }}", "[]null"),
      (
        "{{ divf 1 3 }} {{ mulf 0.1 3 }} {{ addf 0.1 0.2 }} {{ subf 1 0.9 }} {{ divf 2 3 }}",
        "0.3333333333333333 0.3 0.3 0.1 0.6666666666666667"
      ),
      (
        "{{ title \"hello wörld-x é\" }} {{ swapcase \"aB éÉ\" }} {{ nospace \"é b\" }}",
        "Hello Wörld-X É Ab Éé Ã©b"
      ),
      (
        "{{ camelcase \"HTTP_SERVER_x\" }} {{ snakecase \"aB2c HTTPServer v2\" }}",
        "HttpServerX a_b_2c_http_server_v2"
      ),
      (
        "{{ regexReplaceAll \"a(x*)b\" \"-ab-axxb-\" \"${1}W$1x$$\" }} {{ regexSplit \"\" \"abc\" 2 }}",
        "-W$-xxW$- [a bc]"
      ),
      ("{{ regexFindAll \"a*\" \"baac\" -1 | toJson }}", "[\"\",\"aa\",\"\"]"),
      (
        "{{ semverCompare \"^1.2 || 3.x\" \"3.9.0\" }}{{ semverCompare \"1.2 - 1.4.5\" \"1.4.6\" }}"
          + "{{ semverCompare \"~1.2.3, !=1.2.5\" \"1.2.5\" }}{{ semverCompare \">1\" \"2.0.0-rc1\" }}",
        "truefalsefalsefalse"
      ),
      ("{{ (urlParse \"http://a:b%40@h.x:80/p%20q?z#f%20g\").userinfo }}", "a:b%40"),
      (
        "{{ urlJoin (dict \"scheme\" \"http\" \"host\" \"h\" \"path\" \"a b\") }}", "http://h/a%20b"
      ),
      ("{{ (dict \"a\" (dict \"b\" 1) | merge (dict \"a\" (dict \"c\" 2))).a }}", "map[b:1 c:2]"),
      ("{{ $d := dict }}{{ $_ := set $d \"d\" $d }}{{ len $d }}", "1"),
      (
        "{{ dateInZone \"2006-01-02T15:04:05Z07:00 MST\" 1700000000 \"Europe/Berlin\" }}",
        "2023-11-14T23:13:20+01:00 CET"
      ),
      (
        "{{ (toDate \"2006-01-02\" \"2024-02-29\").AddDate 1 0 0 | date \"2006-01-02\" }}",
        "2025-03-01"
      ),
      ("{{ now | unixEpoch }}{{ ago (now) }}", "17500000000s"),
      ("{{ block \"x\" .n }}{{ . }}{{ end }}{{ template \"x\" 4 }}", "34"),
      ("{{/* a */ -}}  x {{- /* b */}}", "x"), ("{{ 'a' }}{{ '\\n' }}", "9710"),
      ("{{ \"\\x41\\101\\u00e9\" }}{{ `a\\n` }}", "AAéa\\n"), ("{{\n.n\n}}", "3"),
      (
        "{{ js \"<é'>\" }}{{ html \"'\" }}{{ urlquery \"a b\" \"c\" }}",
        "\\u003Cé\\'\\u003E&#39;a+bc"
      ),
      (
        "{{ b32dec \"NBSWY3D\" }}|{{ b64dec \"aGVsbG8\" }}|{{ b64dec \"a===\" }}",
        "illegal base32 data at input byte 0|illegal base64 data at input byte 4|illegal base64 data at input byte 1"
      ),
      (
        "{{ kindOf now }} {{ typeOf (semver \"1.2\") }} {{ typeOf (chunk 1 (list 1)) }}",
        "struct *semver.Version [][]interface {}"
      ),
    ] as [(String, String)]
  )
  func language(text: String, wanted: String) throws {
    #expect(try run(text) == wanted)
  }

  @Test(
    "what Go refuses fails here, with its phase",
    arguments: [
      ("{{ upper (index .list 0) }}", "execution"), ("{{ until (add 1 2) }}", "execution"),
      ("{{ .list.x }}", "execution"), ("{{ range $a, $b := 3 }}{{ end }}", "execution"),
      ("{{ set .missing \"a\" 1 }}", "execution"), ("{{ eq (dict) (dict) }}", "execution"),
      ("{{ 1 | 2 }}", "parse"), ("{{ if .n }}{{ else if }}{{ end }}", "parse"),
      ("{{ 99999999999999999999 }}", "parse"), ("{{ 0x8000000000000000 }}", "execution"),
      ("{{ derivePassword 1 \"long\" \"a\" \"b\" \"c\" }}", "execution"),
      ("{{ semverCompare \"a\" \"1\" }}", "execution"),
      ("{{ mustRegexMatch \"(\" \"\" }}", "execution"),
    ]
  )
  func refusals(text: String, phase: String) throws {
    let error = try #require(throws: TemplateError.self) { try run(text) }
    #expect(error.phase.rawValue == phase, "\(error)")
  }

  @Test(
    "a template that would take everything is stopped",
    arguments: [
      "{{ range until 10000000 }}{{ end }}", "{{ repeat 1000000000 \"ab\" }}",
      "{{ define \"a\" }}{{ template \"a\" . }}{{ end }}{{ template \"a\" . }}",
      "{{ define \"a\" }}{{ with (print (print .)) }}{{ template \"a\" . }}{{ end }}{{ end }}"
        + "{{ template \"a\" 1 }}",
      "{{ $s := \"ab\" }}{{ range until 60 }}{{ $s = print $s $s }}{{ end }}",
      "{{ $l := list 1 }}{{ range until 60 }}{{ $l = list $l $l }}{{ end }}{{ $l }}",
      "{{ $l := list }}{{ range until 100000 }}{{ $l = list $l }}{{ end }}",
      "{{ $d := dict }}{{ $_ := set $d \"d\" $d }}{{ $d }}",
      "{{ $d := dict }}{{ $_ := set $d \"d\" $d }}{{ toJson $d }}{{ deepCopy $d }}",
      "{{ $a := dict }}{{ range until 100000 }}{{ $n := dict }}{{ $_ := set $a \"x\" $n }}{{ $a = $n }}{{ end }}{{ $a }}"
        + "{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}",
      "{{ printf \"%999999d\" 1 }}{{ range until 1000 }}{{ printf \"%999999d\" 1 }}{{ end }}",
      "{{ splitList \"\" (repeat 4000000 \"a\") }}", "{{ indent 100000 (repeat 1000 \"\\n\") }}",
      "{{ regexFindAll \".\" (repeat 4000000 \"a\") -1 }}",
      "{{ replace \"\" (repeat 1000 \"b\") (repeat 1000000 \"a\") }}",
      "{{ range until 200000 }}0123456789012345678901234567890123456789{{ end }}",
    ]
  )
  func bounded(text: String) throws {
    let error = try #require(throws: TemplateError.self) { try run(text) }
    #expect(error.phase == .limit, "\(error.message)")
  }

  @Test("an error has its place, and a caret below it")
  func places() throws {
    let error = try #require(throws: TemplateError.self) {
      try GoTemplate(parsing: "a\n  é {{ .x | nosuch }}")
    }
    #expect((error.line, error.column) == (2, 13))
    #expect(error.excerpt == "  é {{ .x | nosuch }}\n            ^")
    let failed = try #require(throws: TemplateError.self) { try run("x\n{{ upper .n }}") }
    #expect((failed.line, failed.column) == (2, 10))
  }

  @Test("deep nesting is refused, not followed")
  func nesting() throws {
    for (open, close) in [("{{ if 1 }}", "{{ end }}"), ("{{ (", ") }}")] {
      let text = String(repeating: open, count: 5000) + String(repeating: close, count: 5000)
      #expect(throws: TemplateError.self) { try GoTemplate(parsing: text) }
    }
    let parentheses =
      String(repeating: "(", count: 5000) + "1" + String(repeating: ")", count: 5000)
    #expect(throws: TemplateError.self) { try GoTemplate(parsing: "{{ \(parentheses) }}") }
  }

  @Test("the functions are there for other languages, as strict about types")
  func callable() throws {
    var account = TemplateAccount(limits: TemplateLimits(), world: templateWorld)
    let upper = try Sprig.call("upper", [.string(ByteString("a"))], &account)
    guard case .string("A") = upper else {
      Issue.record("\(upper)")
      return
    }
    #expect(throws: TemplateFailure.self) { try Sprig.call("upper", [.int(1)], &account) }
    #expect(Sprig.names.contains("trimSuffix"))
  }

  @Test(
    "formats keep their flags in complaints, and know all verbs of numbers",
    arguments: [
      (#"printf "%+t" 97"#, "%!t(int=+97)"), (#"printf "%05g" "x""#, "%!g(string=0000x)"),
      (#"printf "%.2T" "x""#, "st"), (#"printf "%#G" 30.0"#, "30.0000"),
      (#"printf "%x|%X|%b" 3.0 -0.1 1.0"#, "0x1.8p+01|-0X1.999999999999AP-04|4503599627370496p-52"),
      (
        #"printf "%.1x|%.0x|%.20x" 1.999 1.5 1.0"#, "0x1.0p+01|0x1p+01|0x1.00000000000000000000p+00"
      ),
      (#"printf "%#x|%#X|%x" 1.0 1.0 0.0"#, "0x1.0000p+00|0X1.P+00|0x0p+00"),
      (#"printf "%05s|%-05s|%05v|%05t" "x" "x" "x" true"#, "0000x|x    |0000x|0true"),
      (#"printf "%w" (list 1 2)"#, "%!w([]interface {}=[1 2])"),
      (#"printf "%6." 1"#, "%!.(int=     1)"),
      (#"printf "%08.3f|%-08.3f|%+08d" 3.14159 3.14159 42"#, "0003.142|3.142   |+0000042"),
      (#"chunk -3 (list 1 2 3 4)"#, "[]"), (#"dig "a" "b" 1 (dict)"#, "1"),
    ]
  )
  func formats(pipeline: String, wanted: String) throws {
    #expect(try run("{{ \(pipeline) }}") == wanted)
    for failing in ["dig \"a\" 1 2 (dict)", "deepCopy nil", "chunk 0 (list 1)"] {
      #expect(throws: TemplateError.self) { try run("{{ \(failing) }}") }
    }
  }

  @Test("mutations of templates never trap")
  func mutations() throws {
    guard let cases = try vectorCases("gotemplate") else { return }
    var random = Seeded(7)
    let texts = cases.compactMap { $0.string("template") }.map { Array($0.utf8) }
    let numbers = ["-9223372036854775808", "9223372036854775807", "-1", "1e300", "\"\"", ".list"]
    let limits = TemplateLimits(steps: 20_000, output: 1 << 16, memory: 1 << 18, depth: 50)
    for _ in 0..<6000 {
      var text = texts[Int(random.next() % UInt64(texts.count))]
      for _ in 0..<Int(random.next() % 4) {
        let place = Int(random.next() % UInt64(text.count + 1))
        switch random.next() % 4 {
        case 0: text.insert(UInt8(random.next() % 128), at: place)
        case 1: if place < text.count { text.remove(at: place) }
        case 2:
          let other = texts[Int(random.next() % UInt64(texts.count))]
          let cut = Int(random.next() % UInt64(other.count + 1))
          text = Array(text[..<place] + other[cut...])
        default:
          // A number in the place of another is what finds arithmetic that overflows.
          guard
            let digit = text.indices.filter({ (0x30...0x39).contains(text[$0]) }).randomElement(
              using: &random
            )
          else { continue }
          let number = numbers[Int(random.next() % UInt64(numbers.count))]
          text.replaceSubrange(digit...digit, with: Array(number.utf8))
        }
      }
      _ = try? GoTemplate(parsing: String(decoding: text, as: UTF8.self))
        .execute(data, limits: limits, in: templateWorld)
    }
  }

  @Test(
    "what reads much and makes little ends like what makes much",
    arguments: [
      "{{ range until 100000 }}{{ if contains \"y\" $.long }}{{ end }}{{ end }}",
      "{{ range until 100000 }}{{ $x := sha256sum $.long }}{{ end }}",
      "{{ range until 100000 }}{{ range $k, $v := $.wide }}{{ break }}{{ end }}{{ end }}",
      "{{ range $i := until 10000 }}{{ if regexMatch (print \"(a|b){\" $i \"}\") \"x\" }}{{ end }}{{ end }}",
    ]
  )
  func reading(text: String) throws {
    let wide = JSON.object((0..<4000).map { .init(key: "k\($0)", value: 1) })
    let data: JSON = ["long": .string(String(repeating: "x", count: 1 << 16)), "wide": wide]
    let template = try GoTemplate(parsing: text)
    let error = try #require(throws: TemplateError.self) {
      try template.execute(data, in: templateWorld)
    }
    #expect(error.phase == .limit, "\(error.message)")
  }
}
