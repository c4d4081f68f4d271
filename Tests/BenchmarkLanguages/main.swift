import CAllocations
import Expression
import JSON

// What the languages of manifests cost over the body of a push:
// `swift run -c release benchmark-languages [ROUNDS]`
// Of each line the best of the rounds counts: other work on the machine only ever adds.

/// A body of a push of about 7 KB, as forges send them.
func pushBody() -> [UInt8] {
  func person(_ name: String) -> JSON {
    ["name": .string(name), "email": .string(name + "@example.org"), "username": .string(name)]
  }
  let commits = (0..<12).map { number -> JSON in
    [
      "id": .string(String(repeating: String(number % 10), count: 40)),
      "message": .string("Change number \(number)\n\nWith a few words why it is needed."),
      "timestamp": "2024-03-05T10:20:30Z", "distinct": true,
      "url": .string("https://git.example.org/team/project/commit/\(number)"),
      "author": person("ada"), "committer": person("bob"),
      "added": [.string("src/file\(number).swift")], "removed": [],
      "modified": ["README.md", .string("docs/page\(number).md")],
    ]
  }
  let body: JSON = [
    "ref": "refs/heads/main", "before": .string(String(repeating: "0", count: 40)),
    "after": .string(String(repeating: "1", count: 40)), "created": false, "forced": false,
    "commits": .array(commits),
    "repository": [
      "id": 4711, "name": "project", "full_name": "team/project", "private": false,
      "owner": person("team"), "html_url": "https://git.example.org/team/project",
      "default_branch": "main", "stargazers_count": 17,
    ],
    "pusher": person("ada"), "sender": ["login": "ada", "id": 12, "site_admin": false],
  ]
  return ["body": body, "header": ["X-GitHub-Event": ["push"]]].asJSON.encoded()
}

extension Dictionary where Key == String, Value == JSON {
  var asJSON: JSON {
    .object(sorted { $0.key < $1.key }.map { .init(key: $0.key, value: $0.value) })
  }
}

struct Line {
  let name: String
  let microseconds: Double
  let allocations: Double
  let goal: Double?
}

let rounds = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 7
var lines: [Line] = []
// What is measured must not be left out by the compiler.
var witness = 0

@MainActor func measure(_ name: String, goal: Double? = nil, _ work: @MainActor () throws -> Int)
  rethrows
{
  let clock = ContinuousClock()
  let count = 2000
  var best = Double.infinity
  var allocations = Double.infinity
  for _ in 0..<rounds {
    let before = callocations_count()
    let start = clock.now
    for _ in 0..<count { witness &+= try work() }
    let time = (clock.now - start) / .microseconds(1)
    best = min(best, time / Double(count))
    allocations = min(allocations, Double(callocations_count() - before) / Double(count))
  }
  lines.append(Line(name: name, microseconds: best, allocations: allocations, goal: goal))
}

func padded(_ text: String, _ width: Int, left: Bool = false) -> String {
  let space = String(repeating: " ", count: max(0, width - text.count))
  return left ? space + text : text + space
}

func rounded(_ number: Double) -> String { "\((number * 100).rounded() / 100)" }

let world = TemplateWorld(
  now: { GoTime(seconds: 0, nanoseconds: 0, zone: .utc) },
  zoneFile: { _ in nil },
  random: { 0 }
)
let bytes = pushBody()
let document = try JSONDocument(bytes)
let data = FilterData(bytes)
let time = FilterTime(seconds: 0, nanoseconds: 0)

try measure("scan of the body") { try JSONDocument(bytes).root.kind == .object ? 1 : 0 }

for (name, path, type, value) in [
  ("data filter, string", "body.ref", "string", "^refs/heads/main$"),
  ("data filter, number", "body.repository.stargazers_count", "number", "17"),
  ("data filter, bool", "body.repository.private", "bool", "false"),
] {
  try measure(name + ", compile") {
    _ = try DataFilter(path: path, type: type, values: [value], comparator: "=")
    return 1
  }
  let filter = DataFilters(
    [try DataFilter(path: path, type: type, values: [value], comparator: "=")],
    join: .all
  )
  measure(name, goal: 3) { filter.evaluate(data, at: time) == .pass ? 1 : 0 }
}

for (name, text) in [
  ("expr, one comparison", "body.ref == \"refs/heads/main\""),
  (
    "expr, three clauses",
    "body.ref == \"refs/heads/main\" && !body.forced && body.repository.name startsWith \"pro\""
  ),
] {
  try measure(name + ", compile") {
    _ = try EventSourceFilter(text, world: world)
    return 1
  }
  let filter = try EventSourceFilter(text, world: world)
  measure(name, goal: 3) { filter.evaluate(document) == .pass ? 1 : 0 }
}

let expression = "ref == \"refs/heads/main\" && stars > 10"
let fields = [
  (name: "ref", path: "body.ref"), (name: "stars", path: "body.repository.stargazers_count"),
]
try measure("govaluate, two clauses, compile") {
  _ = try ExprFilter(expression, fields: fields)
  return 1
}
let exprs = ExprFilters([try ExprFilter(expression, fields: fields)], join: .all)
measure("govaluate, two clauses") { exprs.evaluate(data, at: time) == .pass ? 1 : 0 }

let texts = ["body.ref", "body.repository.full_name", "body.commits.#(author.name==\"ada\").id"]
try measure("gjson, three look-ups, compile") {
  for text in texts { _ = try JSONPath(text) }
  return 1
}
let paths = try texts.map { try JSONPath($0) }
measure("gjson, three look-ups", goal: 4) {
  var count = 0
  for path in paths { count += document.value(at: path)?.raw.count ?? 0 }
  return count
}

let templateText = "{{ .Input.body.ref }} by {{ .Input.body.pusher.name }}"
try measure("template, two fields, compile") {
  _ = try GoTemplate(parsing: templateText)
  return 1
}
let template = try GoTemplate(parsing: templateText)
let input = GoValue(["Input": try JSON(parsing: bytes)])
try measure("template, two fields", goal: 5) { try template.execute(input, in: world).utf8.count }

try measure("condition, compile") {
  _ = try Condition("(a && b) || c", names: ["a", "b", "c"])
  return 1
}
let condition = try Condition("(a && b) || c", names: ["a", "b", "c"])
measure("condition") { condition.evaluate { $0 == 2 } ? 1 : 0 }

print("a body of \(bytes.count) bytes, best of \(rounds) rounds")
print(
  padded("", 40) + padded("us", 10, left: true) + padded("allocations", 14, left: true) + "  goal"
)
for line in lines {
  var text = padded(line.name, 40) + padded(rounded(line.microseconds), 10, left: true)
  text += padded(rounded(line.allocations), 14, left: true)
  if let goal = line.goal {
    text += "  \(rounded(goal)) us" + (line.microseconds <= goal ? "" : "  missed")
  }
  print(text)
}
precondition(witness != 0)
