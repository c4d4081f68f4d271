package import Event
import Expression
import JSON
package import Sensor

/// Sensors as a large installation has them, all over the pushes of one event source: 60 % ask for
/// a repository and a branch, 20 % for repositories by the beginning of their name, 10 % for a
/// number, 10 % for a repository and something no index knows. A push matches at most ten.
package struct PushWorkload {
  package let sensors: [SensorPlan]
  private let repositories: Int

  /// Repositories in a team.
  private static let teamSize = 3

  package init(sensors count: Int) {
    // Many filters share few paths.
    repositories = max(Self.teamSize, count / 5)
    var compiler = Compiler()
    sensors = (0..<count).map { [repositories] number in
      compiler.sensor(number, repository: number % repositories, repositories)
    }
  }

  /// A push of about 7 KB, as forges send them, to one of the repositories the sensors know.
  package func push(_ number: Int) -> Event {
    let repository = number * 7919 % repositories
    return Event(
      id: "push-\(number)",
      source: "github",
      type: "github",
      subject: "push",
      time: Timestamp(nanoseconds: 1_700_000_000_000_000_000),
      data: Self.body(repository, branch: number % 4 == 0 ? "release" : "main").encoded()
    )
  }

  static func name(_ repository: Int) -> String {
    "team-\(repository / teamSize)/project-\(repository % teamSize)"
  }

  private static func body(_ repository: Int, branch: String) -> JSON {
    func person(_ name: String) -> JSON {
      ["name": .string(name), "email": .string(name + "@example.org"), "username": .string(name)]
    }
    let commits = (0..<15).map { number -> JSON in
      [
        "id": .string(String(repeating: String(number % 10), count: 40)),
        "message": .string("Change number \(number)\n\nWith a few words why it is needed."),
        "timestamp": "2024-03-05T10:20:30Z", "distinct": true,
        "url": .string("https://git.example.org/\(name(repository))/commit/\(number)"),
        "author": person("ada"), "committer": person("bob"),
        "added": [.string("src/file\(number).swift")], "removed": [],
        "modified": ["README.md", .string("docs/page\(number).md")],
      ]
    }
    return [
      "body": [
        "ref": .string("refs/heads/" + branch),
        "before": .string(String(repeating: "0", count: 40)),
        "after": .string(String(repeating: "1", count: 40)), "created": false, "forced": false,
        "commits": .array(commits),
        "repository": [
          "id": JSON(repository), "name": .string("project-\(repository % teamSize)"),
          "full_name": .string(name(repository)), "private": false, "owner": person("team"),
          "default_branch": "main", "stargazers_count": 17,
        ],
        "pusher": person("ada"), "sender": ["login": "ada", "id": 12, "site_admin": false],
      ],
      "headers": ["X-Github-Event": ["push"]],
    ]
  }

  /// Makes sensors; what is the same in many is made once.
  private struct Compiler {
    private var paths: [String: JSONPath] = [:]
    private let condition = Condition.all(count: 1)

    mutating func sensor(_ number: Int, repository: Int, _ repositories: Int) -> SensorPlan {
      let id = SensorID(namespace: "default", name: "sensor-\(number)")
      let key = EventKey(namespace: "default", bus: "default", source: "github", subject: "push")
      let dependency = Dependency(
        name: "push",
        key: key,
        filters: filter(number, repository, repositories),
        fingerprint: "\(number)"
      )
      return SensorPlan(
        id: id,
        bus: "default",
        dependencies: [dependency],
        triggers: [TriggerRule(id: TriggerID(sensor: id, name: "run"), condition: condition)]
      )
    }

    private mutating func filter(
      _ number: Int,
      _ repository: Int,
      _ repositories: Int
    ) -> EventFilter {
      let name = PushWorkload.name(repository)
      let branch = number / 10 % 2 == 0 ? "main" : "release"
      switch number % 10 {
      case 0..<2:
        var filter = EventFilter()
        filter.exprs = ExprFilters([compared(name, branch)], join: .all)
        return filter
      case 2..<6:
        return all(
          text("body.ref", "^refs/heads/\(branch)$"),
          text("body.repository.full_name", "^\(name)$")
        )
      case 6..<8:
        let team = number / 10 % max(1, repositories / PushWorkload.teamSize)
        return all(text("body.repository.full_name", "^team-\(team)/"))
      case 8: return all(range("body.repository.id", from: repository, to: repository + 1))
      default:
        return all(
          text("body.repository.full_name", "^\(name)$"),
          text("body.ref", "^refs/heads/(main|release/v[0-9]+)$"),
          text("body.pusher.name", "^robot-", "!=")
        )
      }
    }

    private func all(_ filters: [DataFilter]...) -> EventFilter {
      var filter = EventFilter()
      filter.data = DataFilters(filters.flatMap(\.self), join: .all)
      return filter
    }

    private mutating func path(_ text: String) -> JSONPath? {
      if let path = paths[text] { return path }
      let path = try? JSONPath(text)
      paths[text] = path
      return path
    }

    private mutating func text(_ path: String, _ value: String, _ sign: String = "=")
      -> [DataFilter]
    {
      data(path, "string", value, sign)
    }

    private mutating func range(_ path: String, from: Int, to: Int) -> [DataFilter] {
      data(path, "number", "\(from)", ">=") + data(path, "number", "\(to)", "<")
    }

    private mutating func data(_ path: String, _ type: String, _ value: String, _ sign: String)
      -> [DataFilter]
    {
      guard let path = self.path(path) else { return [] }
      let filter = try? DataFilter(path: path, type: type, values: [value], comparator: sign)
      return filter.map { [$0] } ?? []
    }

    private func compared(_ name: String, _ branch: String) -> ExprFilter {
      let made = try? ExprFilter(
        "repository == '\(name)' && ref == 'refs/heads/\(branch)'",
        fields: [("repository", "body.repository.full_name"), ("ref", "body.ref")]
      )
      guard let made else { preconditionFailure("the expressions of the workload compile") }
      return made
    }
  }
}
