/// What the default mode answers where it differs from the original's answer, by case; beside it
/// why. Elsewhere both modes answer alike.
let defaultAnswers: [String: String] = answers.reduce(into: [:]) { table, group in
  for (id, answer) in group.answers { table[id] = answer }
}

private let answers: [(why: String, answers: [String: String])] = [
  (
    "names are compared as they are written: `-` is not `_`",
    [
      "cond-valid-18321f9b": "error",
      "cond-valid-270546f0": "error",
      "cond-valid-507521e6": "error",
      "cond-valid-f6cff074": "error",
    ]
  ),
  (
    "words and functions of expr are names like others, and so are numbers and names with a dot",
    [
      "cond-invalid-12002fdd": "false",
      "cond-invalid-6f01feac": "false",
      "cond-invalid-824e1640": "false",
      "cond-invalid-9c2e1792": "false",
      "cond-invalid-9f0d0340": "false",
      "cond-invalid-c428d278": "false",
      "cond-invalid-cd83dd83": "false",
      "cond-invalid-e0bdd154": "false",
      "cond-invalid-f417bd41": "false",
      "cond-invalid-f798c771": "false",
      "cond-invalid-f918c0b5": "false",
      "cond-valid-b671da48": "true",
    ]
  ),
  (
    "a value that is no pattern, number or truth is an error of the manifest, wherever it stands",
    [
      "datafilter-26d22463": "error",
      "datafilter-2e2bd21f": "error",
      "datafilter-6dfc2a03": "error",
      "datafilter-7ced6649": "error",
      "datafilter-821678a3": "error",
      "datafilter-86a0d7ec": "error",
      "datafilter-a594b312": "error",
    ]
  ),
  (
    "a comparator that never matches is an error of the manifest",
    [
      "datafilter-0a6ace24": "error",
      "datafilter-32bf6471": "error",
      "datafilter-374d7e1b": "error",
      "datafilter-6abdbdb4": "error",
      "datafilter-7b284efa": "error",
      "datafilter-81747e08": "error",
      "datafilter-98caf2da": "error",
      "datafilter-cdc69623": "error",
      "datafilter-dce6eb16": "error",
      "datafilter-f37f2ac6": "error",
    ]
  ),
  (
    "`!=` with several values: none of them",
    [
      "datafilter-be124649": "false"
    ]
  ),
  (
    "a name of a function names a value where it is not called",
    [
      "esfilter-7766dea2": "true"
    ]
  ),
  (
    "an expression without fields is an error of the manifest: it was skipped",
    [
      "exprfilter-0d68de05": "error",
      "exprfilter-305db9b5": "error",
      "exprfilter-30e652b9": "error",
      "exprfilter-3488cafe": "error",
      "exprfilter-3d32d860": "error",
      "exprfilter-5c767cd0": "error",
      "exprfilter-619f3e9e": "error",
      "exprfilter-639c17b0": "error",
      "exprfilter-66fc2122": "error",
      "exprfilter-6cb6934c": "error",
      "exprfilter-861cdc20": "error",
      "exprfilter-8d25d219": "error",
      "exprfilter-9ab3bfcd": "error",
      "exprfilter-a928b5f6": "error",
      "exprfilter-aa6369ed": "error",
      "exprfilter-e2709555": "error",
      "exprfilter-ff9b0543": "error",
    ]
  ),
  (
    "an expression that does not parse is an error of the manifest",
    [
      "exprfilter-4c134238": "error",
      "exprfilter-a5e945d9": "error",
    ]
  ),
  (
    "joined by `or`, a filter that passes is enough: errors of others do not undo it",
    [
      "filters-13f4336d": "true",
      "filters-315cb4c4": "true",
      "filters-7a9b3a3f": "true",
      "filters-bd956876": "true",
    ]
  ),
  (
    "a span without length is an error of the manifest: it was the whole day",
    [
      "timefilter-06311b51": "error",
      "timefilter-0858dfbf": "error",
      "timefilter-3dd8c149": "error",
      "timefilter-4ce69d96": "error",
      "timefilter-5548fc2d": "error",
      "timefilter-5df8bc1e": "error",
      "timefilter-753368e6": "error",
      "timefilter-7b9ed5b7": "error",
      "timefilter-9ac08a05": "error",
      "timefilter-9d612f1f": "error",
      "timefilter-9d766eee": "error",
      "timefilter-a7b1011d": "error",
      "timefilter-bf341a68": "error",
      "timefilter-c451daeb": "error",
      "timefilter-d1a22374": "error",
      "timefilter-ef82be88": "error",
      "timefilter-fbfd2d03": "error",
    ]
  ),
]
