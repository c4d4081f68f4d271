import HTTP
import JSON

/// Who answers the operator's questions: an installation, or a process of a shared bus for all of its
/// partitions. Requests are JSON.
protocol OperatorAnswers: Sendable {
  func explain(_ request: [UInt8]) async -> (isDone: Bool, JSON)
  func pending(_ request: [UInt8]) async -> (isDone: Bool, JSON)
  func deadLetters(_ path: String, _ request: [UInt8]) async -> (isDone: Bool, JSON)
  func replay(_ request: [UInt8]) async -> ReplayAnswer
}

extension Installation: OperatorAnswers {}
extension PartitionAnswers: OperatorAnswers {}

/// The questions that every control socket takes.
struct OperatorQuestions: Sendable {
  let answers: @Sendable () async -> any OperatorAnswers

  static let paths =
    "POST /replay, POST /explain, POST /pending and POST /deadletters/list, show, retry and drop"

  /// nil: it is another question.
  func accept(_ head: RequestHead) -> Acceptance? {
    guard head.method == "POST" else { return nil }
    switch head.path {
    case "/replay":
      return answer(16 << 10) { answers, request in
        let replay = await answers.replay(request)
        return (replay.isDone, replay.json)
      }
    case "/explain": return answer(16 << 10) { await $0.explain($1) }
    case "/pending": return answer(16 << 10) { await $0.pending($1) }
    case let path where path.hasPrefix("/deadletters/"):
      return answer(1 << 20) { await $0.deadLetters(path, $1) }
    default: return nil
    }
  }

  private func answer(
    _ limit: Int,
    _ body: @escaping @Sendable (any OperatorAnswers, [UInt8]) async -> (isDone: Bool, JSON)
  ) -> Acceptance {
    .read(bodyLimit: limit) { request in
      let (isDone, answer) = await body(await answers(), request.body)
      return .json(isDone ? 200 : 422, answer.encoded())
    }
  }
}
