import HTTP
import JSON

/// What the operator of this machine may do: the handler of `DIR/control.sock`, which only its
/// owner can open.
struct Control: RequestHandler {
  let installation: Installation

  func accept(_ head: RequestHead) -> Acceptance {
    switch (head.method, head.path) {
    case ("GET", "/status"):
      return .read(bodyLimit: 0) { _ in .json(200, await installation.status().encoded()) }
    case ("POST", "/reload"):
      return .read(bodyLimit: 0) { _ in
        let reload = await installation.reload()
        return .json(reload.isDone ? 200 : 422, reload.json.encoded())
      }
    case ("POST", "/takeover"):
      return .read(bodyLimit: 0) { _ in await installation.handOut() }
    case ("POST", "/takeover/confirm"):
      return .read(bodyLimit: 0) { _ in
        await installation.handOver()
        return .json(202, JSON.object([.init(key: "stopping", value: true)]).encoded())
      }
    case ("POST", "/replay"):
      return .read(bodyLimit: 16 << 10) { request in
        let replay = await installation.replay(request.body)
        return .json(replay.isDone ? 200 : 422, replay.json.encoded())
      }
    case ("POST", let path) where path.hasPrefix("/deadletters/"):
      return .read(bodyLimit: 1 << 20) { request in
        let (isDone, answer) = await installation.deadLetters(path, request.body)
        return .json(isDone ? 200 : 422, answer.encoded())
      }
    case ("POST", "/explain"):
      return .read(bodyLimit: 16 << 10) { request in
        let (isDone, answer) = await installation.explain(request.body)
        return .json(isDone ? 200 : 422, answer.encoded())
      }
    case ("POST", "/pending"):
      return .read(bodyLimit: 16 << 10) { request in
        let (isDone, answer) = await installation.pending(request.body)
        return .json(isDone ? 200 : 422, answer.encoded())
      }
    default:
      let paths =
        "GET /status, POST /reload, POST /replay, POST /explain, POST /pending, POST /takeover and "
        + "POST /deadletters/list, show, retry and drop"
      return .answer(.text(404, "there are \(paths)"))
    }
  }
}
