import HTTP
import JSON

/// What the operator of this machine may do with a process of a shared bus: the handler of
/// `DATA/control.sock`. Each partition that the process owns has its own in `DATA/partition-N`.
struct FrontControl: RequestHandler {
  let front: Front

  func accept(_ head: RequestHead) -> Acceptance {
    switch (head.method, head.path) {
    case ("GET", "/status"):
      return .read(bodyLimit: 0) { [figures = front.figures] _ in
        var members: [JSON.Member] = []
        for (partition, entry) in figures.all {
          let status = await entry.installation.status()
          members.append(JSON.Member(key: "\(partition)", value: status))
        }
        let status = JSON.object([.init(key: "partitions", value: .object(members))])
        return .json(200, status.encoded())
      }
    case ("POST", "/reload"):
      return .read(bodyLimit: 0) { _ in
        let reload = await front.reload()
        return .json(reload.isDone ? 200 : 422, reload.json.encoded())
      }
    case ("POST", "/replay"):
      return .read(bodyLimit: 16 << 10) { request in
        let replay = await front.answers.replay(request.body)
        return .json(replay.isDone ? 200 : 422, replay.json.encoded())
      }
    case ("POST", let path) where path.hasPrefix("/deadletters/"):
      return .read(bodyLimit: 1 << 20) { request in
        let (isDone, answer) = await front.answers.deadLetters(path, request.body)
        return .json(isDone ? 200 : 422, answer.encoded())
      }
    case ("POST", "/explain"):
      return .read(bodyLimit: 16 << 10) { request in
        let (isDone, answer) = await front.answers.explain(request.body)
        return .json(isDone ? 200 : 422, answer.encoded())
      }
    case ("POST", "/pending"):
      return .read(bodyLimit: 16 << 10) { request in
        let (isDone, answer) = await front.answers.pending(request.body)
        return .json(isDone ? 200 : 422, answer.encoded())
      }
    default:
      let owned = front.figures.all.map { "\($0.partition)" }.joined(separator: ", ")
      let words =
        "the work of the bus is shared; there are GET /status, POST /reload, POST /replay, POST "
        + "/explain, POST /pending and POST /deadletters/list, show, retry and drop; "
        + "partitions that this process owns: \(owned.isEmpty ? "none" : owned)"
      let answer = JSON.object([.init(key: "error", value: .string(words))])
      return .answer(.json(404, answer.encoded()))
    }
  }
}
