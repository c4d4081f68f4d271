/// The fields that Argo Events knows below a key whose kind has no implementation here yet (spec
/// sections 2.2 to 2.7, 4.3 and 4.4): such a manifest is refused as not supported yet, and what is
/// misspelt in it is still told.
///
/// Written `name` for a field of any shape, `name{...}` for a mapping, `name[...]` for a list of
/// mappings, `name@group` for shared fields, `~name` for what published examples still carry and
/// Argo Events ignores.
struct KnownFields: Sendable {
  /// nil: any shape.
  private indirect enum Shape: Sendable {
    case any
    case ignored
    case mapping([String: Shape])
    case list([String: Shape])
  }

  private let root: [String: Shape]

  /// - Precondition: the text is well formed; it is part of the program.
  fileprivate init(_ text: String) {
    var rest = text[...]
    root = Self.fields(&rest)
    precondition(rest.isEmpty, "a field list ends early: \(rest)")
  }

  private static func fields(_ rest: inout Substring) -> [String: Shape] {
    var fields: [String: Shape] = [:]
    while true {
      rest = rest.drop { $0 == " " || $0 == "\n" }
      let isIgnored = rest.first == "~"
      rest = rest.dropFirst(isIgnored ? 1 : 0)
      let name = rest.prefix { $0.isLetter || $0.isNumber }
      rest = rest.dropFirst(name.count)
      if name.isEmpty { return fields }
      fields[String(name)] = isIgnored ? .ignored : shape(&rest)
    }
  }

  private static func shape(_ rest: inout Substring) -> Shape {
    switch rest.first {
    case "{":
      return .mapping(block(&rest, "}"))
    case "[":
      return .list(block(&rest, "]"))
    case "@":
      rest.removeFirst()
      let name = rest.prefix { $0.isLetter }
      rest = rest.dropFirst(name.count)
      var text = (groups[String(name)] ?? "")[...]
      precondition(!text.isEmpty, "no group of fields is called \(name)")
      return name == "parameters" ? .list(fields(&text)) : .mapping(fields(&text))
    default: return .any
    }
  }

  private static func block(_ rest: inout Substring, _ end: Character) -> [String: Shape] {
    rest.removeFirst()
    let fields = fields(&rest)
    precondition(rest.first == end, "a field list lacks \(end): \(rest)")
    rest.removeFirst()
    return fields
  }

  /// Reports every key of `node` that is not known, with the nearest name.
  func check(_ node: Node, path: String, _ diagnostics: Diagnostics) {
    check(node, root, path, diagnostics)
  }

  private func check(
    _ node: Node,
    _ fields: [String: Shape],
    _ path: String,
    _ diagnostics: Diagnostics
  ) {
    if case .null = node.value { return }
    let block = Block(node, path: path, diagnostics)
    for (name, shape) in fields.sorted(by: { $0.key < $1.key }) {
      guard let child = block.node(name) else { continue }
      let path = block.child(name)
      switch shape {
      case .any: break
      case .ignored:
        let nearest = fields.keys.first { $0.lowercased() == name.lowercased() && $0 != name }
        let hint = nearest.map { "; did you mean '\($0)'?" } ?? ""
        block.warning(name, "has no effect, here as in Argo Events\(hint)")
      case .mapping(let fields): check(child, fields, path, diagnostics)
      case .list(let fields):
        for (index, item) in (block.list(name) ?? []).enumerated() {
          check(item, fields, "\(path)[\(index)]", diagnostics)
        }
      }
    }
    block.finish()
  }

  // MARK: Lists

  /// Fields that many kinds share.
  private static let groups: [String: String] = [
    "secret": "name key optional",
    "backoff": "duration factor jitter steps",
    "tls": """
    caCertSecret@secret clientCertSecret@secret clientKeySecret@secret insecureSkipVerify enabled
    """,
    "sasl": "mechanism userSecret@secret passwordSecret@secret",
    "basic": "username@secret password@secret",
    "filter": "expression",
    "watch": "directory path pathRegexp",
    "webhook": """
    endpoint port method url serverCertSecret@secret serverKeySecret@secret metadata
    authSecret@secret maxPayloadSize
    """,
    "registry": "url schemaId auth@basic",
    "nats": "basic@basic token@secret nkey@secret credential@secret",
    "bucket": """
    endpoint bucket{name key} region insecure accessKey@secret secretKey@secret events
    filter{prefix suffix} metadata caCertificate@secret
    """,
    "source": """
    s3@bucket inline file{path} url{path verifyCert ~verifycert} resource
    configmap{name key optional ~namespace}
    git{url cloneDirectory creds@basic sshKeySecret@secret filePath branch tag ref
    remote{name urls} insecureIgnoreHostKey githubApp@app ~sshKeyPath ~namespace}
    """,
    "app": "privateKey@secret appID installationID",
    "parameters": """
    src{dependencyName contextKey contextTemplate dataKey dataTemplate value useRawData}
    dest operation
    """,
  ]

  /// By the key under `spec` of an event source.
  static let sources = lists([
    "sns": """
    webhook@webhook topicArn accessKey@secret secretKey@secret region roleARN metadata
    validateSignature endpoint filter@filter
    """,
    "sftp": """
    eventType watchPathConfig@watch username@secret password@secret sshKeySecret@secret
    address@secret metadata pollIntervalDuration filter@filter
    """,
    "hdfs": """
    directory path pathRegexp type checkInterval addresses hdfsUser krbCCacheSecret@secret
    krbKeytabSecret@secret krbUsername krbRealm krbConfigConfigMap@secret
    krbServicePrincipalName metadata filter@filter
    """,
    "generic": "url config insecure jsonBody metadata authSecret@secret filter@filter",
    "nats": """
    url subject queue connectionBackoff@backoff jsonBody tls@tls metadata auth@nats filter@filter
    """,
    "mqtt": """
    url topic clientId connectionBackoff@backoff jsonBody tls@tls metadata auth@basic
    filter@filter
    """,
    "amqp": """
    url urlSecret@secret exchangeName exchangeType routingKey connectionBackoff@backoff jsonBody
    tls@tls metadata exchangeDeclare{durable autoDelete internal noWait}
    queueDeclare{name durable autoDelete exclusive noWait arguments} queueBind{noWait}
    consume{consumerTag autoAck exclusive noLocal noWait} auth@basic filter@filter
    """,
    "redis": """
    hostAddress password@secret username namespace db channels tls@tls metadata jsonBody
    filter@filter
    """,
    "redisStream": """
    hostAddress password@secret username db streams maxMsgCountPerRead consumerGroup tls@tls
    metadata filter@filter
    """,
    "nsq": """
    hostAddress topic channel connectionBackoff@backoff jsonBody tls@tls metadata filter@filter
    """,
    "pulsar": """
    topics type url tlsTrustCertsSecret@secret tlsAllowInsecureConnection tlsValidateHostname
    tls@tls connectionBackoff@backoff jsonBody metadata authTokenSecret@secret authAthenzParams
    authAthenzSecret@secret filter@filter
    """,
    "emitter": """
    broker channelKey channelName username@secret password@secret connectionBackoff@backoff
    jsonBody tls@tls metadata filter@filter
    """,
    "minio": groups["bucket"] ?? "",
    "sqs": """
    accessKey@secret secretKey@secret sessionToken@secret region queue waitTimeSeconds roleARN
    jsonBody queueAccountId metadata dlq endpoint filter@filter
    """,
    "pubSub": """
    projectID topicProjectID topic subscriptionID credentialSecret@secret
    deleteSubscriptionOnFinish jsonBody metadata filter@filter
    """,
    "azureEventsHub": """
    fqdn sharedAccessKeyName@secret sharedAccessKey@secret hubName metadata filter@filter
    """,
    "azureServiceBus": """
    connectionString@secret fullyQualifiedNamespace queueName topicName subscriptionName tls@tls
    jsonBody metadata deferDelete filter@filter
    """,
    "azureQueueStorage": """
    storageAccountName connectionString@secret queueName jsonBody dlq metadata decodeMessage
    waitTimeInSeconds filter@filter
    """,
    "slack": """
    signingSecret@secret token@secret webhook@webhook metadata filter@filter
    """,
    "stripe": "webhook@webhook createWebhook apiKey@secret eventFilter metadata ~namespace",
    "storageGrid": """
    webhook@webhook events filter{prefix suffix} topicArn bucket region authToken@secret apiURL
    metadata tls@tls
    """,
    "mns": "accessKey@secret secretKey@secret queue endpoint jsonBody filter@filter",
  ])

  /// By the key in the template of a trigger.
  static let triggers = lists([
    "k8s": "source@source operation parameters@parameters patchStrategy liveObject",
    "argoWorkflow": "source@source operation parameters@parameters args",
    "awsLambda": """
    functionName accessKey@secret secretKey@secret region payload@parameters
    parameters@parameters invocationType roleARN
    """,
    "azureEventHubs": """
    fqdn hubName sharedAccessKeyName@secret sharedAccessKey@secret payload@parameters
    parameters@parameters
    """,
    "azureServiceBus": """
    connectionString@secret queueName topicName subscriptionName tls@tls payload@parameters
    parameters@parameters
    """,
    "pulsar": """
    url topic parameters@parameters payload@parameters tlsTrustCertsSecret@secret
    tlsAllowInsecureConnection tlsValidateHostname tls@tls authTokenSecret@secret
    connectionBackoff@backoff authAthenzParams authAthenzSecret@secret
    """,
    "nats": "url subject payload@parameters parameters@parameters tls@tls auth@nats",
    "slack": """
    slackToken@secret channel message attachments blocks sender{username icon}
    thread{messageAggregationKey broadcastMessageToChannel} parameters@parameters
    """,
    "openWhisk": """
    host version namespace authToken@secret actionName payload@parameters parameters@parameters
    """,
    "custom": """
    serverURL secure certSecret@secret serverNameOverride spec payload@parameters
    parameters@parameters
    """,
    "email": """
    username smtpPassword@secret host port to from subject body parameters@parameters
    """,
  ])

  private static func lists(_ texts: [String: String]) -> [String: KnownFields] {
    texts.mapValues { KnownFields($0) }
  }
}
