/// A kind of object that the test server serves. Each rule names the section of the specification
/// of cluster APIs that it follows.
struct APIKind: Sendable {
  let group: String
  let version: String
  let plural: String
  let singular: String
  let kind: String
  let shortNames: [String]
  var isNamespaced = true
  /// `/status` is kept apart (the quick map; section A.6).
  var hasStatus = false
  /// Whether strategic patches are known (section A.7: custom resources answer 415).
  var isBuiltIn = false
  /// Fields by path that are kept; others are pruned (section A.7). nil: everything is kept.
  var schema: [String: Set<String>]?
  /// Maps that one manager owns as a whole (section A.7, the minimal CRDs).
  var atomicFields: Set<String> = []

  var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }
  var groupPath: String { group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)" }
  var key: String { "\(plural).\(group)" }

  init(
    _ group: String,
    _ version: String,
    _ plural: String,
    _ kind: String,
    _ shortNames: [String] = []
  ) {
    self.group = group
    self.version = version
    self.plural = plural
    self.kind = kind
    self.shortNames = shortNames
    singular = kind.lowercased()
  }

  fileprivate func with(_ change: (inout APIKind) -> Void) -> APIKind {
    var copy = self
    change(&copy)
    return copy
  }

  /// What the server serves.
  static func all(_ flavour: TestCluster.WorkflowCRD) -> [APIKind] {
    let builtIn = [
      APIKind("", "v1", "namespaces", "Namespace", ["ns"]).with { $0.isNamespaced = false },
      APIKind("", "v1", "configmaps", "ConfigMap", ["cm"]),
      APIKind("", "v1", "secrets", "Secret"),
      APIKind("", "v1", "pods", "Pod", ["po"]).with { $0.hasStatus = true },
      APIKind("", "v1", "events", "Event", ["ev"]),
      APIKind("apps", "v1", "deployments", "Deployment", ["deploy"]).with { $0.hasStatus = true },
      APIKind("apps", "v1", "replicasets", "ReplicaSet", ["rs"]).with { $0.hasStatus = true },
    ].map { kind in kind.with { $0.isBuiltIn = true } }
    return builtIn + argo(flavour)
  }

  /// The quick map of the specification.
  private static func argo(_ flavour: TestCluster.WorkflowCRD) -> [APIKind] {
    func kind(_ plural: String, _ kind: String, _ short: [String]) -> APIKind {
      APIKind("argoproj.io", "v1alpha1", plural, kind, short)
    }
    return [
      kind("workflows", "Workflow", ["wf"]).with {
        if flavour == .full {
          $0.schema = workflowSchema
        } else {
          $0.atomicFields = ["spec", "status"]
        }
      },
      kind("eventsources", "EventSource", ["es"]).with { $0.hasStatus = true },
      kind("sensors", "Sensor", ["sn"]).with { $0.hasStatus = true },
      kind("eventbus", "EventBus", ["eb"]).with { $0.hasStatus = true },
      kind("workflowtemplates", "WorkflowTemplate", ["wftmpl"]),
      kind("clusterworkflowtemplates", "ClusterWorkflowTemplate", ["cwft"]).with {
        $0.isNamespaced = false
      },
      kind("cronworkflows", "CronWorkflow", ["cwf"]),
      kind("applications", "Application", ["app"]).with { $0.schema = applicationSchema },
      kind("appprojects", "AppProject", ["appproj"]),
      kind("rollouts", "Rollout", ["ro"]).with {
        $0.hasStatus = true
        $0.schema = rolloutSchema
      },
      kind("analysisruns", "AnalysisRun", ["ar"]),
    ]
  }

  /// Section B.1.
  private static let workflowSchema: [String: Set<String>] = [
    "": ["apiVersion", "kind", "metadata", "spec", "status"],
    "spec": [
      "templates", "entrypoint", "arguments", "workflowTemplateRef", "templateDefaults", "onExit",
      "hooks", "parallelism", "activeDeadlineSeconds", "priority", "suspend", "shutdown",
      "retryStrategy", "synchronization", "ttlStrategy", "podGC", "archiveLogs",
      "artifactRepositoryRef", "artifactGC", "workflowMetadata", "metrics", "serviceAccountName",
      "automountServiceAccountToken", "executor", "volumes", "volumeClaimTemplates",
      "volumeClaimGC", "nodeSelector", "affinity", "tolerations", "imagePullSecrets",
      "hostNetwork", "dnsPolicy", "dnsConfig", "schedulerName", "hostAliases", "securityContext",
      "podSpecPatch", "podMetadata", "podPriorityClassName", "podDisruptionBudget",
    ],
    "spec.arguments": ["parameters", "artifacts"],
  ]

  /// Section C.1.
  private static let applicationSchema: [String: Set<String>] = [
    "": ["apiVersion", "kind", "metadata", "spec", "status", "operation"],
    "operation": ["sync", "initiatedBy", "info", "retry"],
    "operation.sync": [
      "revision", "revisions", "prune", "dryRun", "syncStrategy", "resources", "source", "sources",
      "manifests", "syncOptions", "autoHealAttemptsCount",
    ],
  ]

  /// Section D.1 and D.3.
  private static let rolloutSchema: [String: Set<String>] = [
    "": ["apiVersion", "kind", "metadata", "spec", "status"],
    "spec": [
      "replicas", "selector", "template", "workloadRef", "minReadySeconds",
      "revisionHistoryLimit", "paused", "progressDeadlineSeconds", "progressDeadlineAbort",
      "restartAt", "rollbackWindow", "analysis", "strategy",
    ],
    "status": [
      "observedGeneration", "phase", "message", "abort", "abortedAt", "pauseConditions",
      "controllerPause", "currentPodHash", "stableRS", "currentStepIndex", "currentStepHash",
      "promoteFull", "restartedAt", "replicas", "updatedReplicas", "readyReplicas",
      "availableReplicas", "HPAReplicas", "selector", "collisionCount",
      "workloadObservedGeneration", "conditions", "canary", "blueGreen", "duration",
    ],
  ]
}
