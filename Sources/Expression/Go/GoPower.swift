import Glibc

/// `math.Pow`, to the last digit as Go has it on amd64: squares and multiplies for the whole part
/// of the exponent, and takes exp and log for what is left of it. The C library rounds better and
/// so gives other last digits.
func raise(_ base: Double, _ exponent: Double) -> Double {
  let magnitude = abs(exponent)
  guard base.isFinite, exponent.isFinite, base != 0, base != 1, exponent != 0, exponent != 1,
    magnitude < 0x1p63
  else { return pow(base, exponent) }
  if magnitude == 0.5 { return exponent > 0 ? base.squareRoot() : 1 / base.squareRoot() }

  var whole = magnitude.rounded(.towardZero)
  var rest = magnitude - whole
  if rest != 0, base < 0 { return .nan }
  // The result is `product * 2^scale`.
  var (product, scale) = (1.0, 0)
  if rest != 0 {
    if rest > 0.5 { (rest, whole) = (rest - 1, whole + 1) }
    product = exponential(rest * logarithm(base))
  }
  // frexp as Swift has it loses the sign.
  var (factor, factorScale) = frexp(abs(base))
  if base < 0 { factor = -factor }
  var bits = UInt64(whole)
  while bits != 0 {
    if abs(factorScale) > 1 << 12 {
      // Over or under whatever the further bits are.
      scale += factorScale
      break
    }
    if bits & 1 == 1 {
      product *= factor
      scale += factorScale
    }
    factor *= factor
    factorScale <<= 1
    if factor < 0.5 { (factor, factorScale) = (factor + factor, factorScale - 1) }
    bits >>= 1
  }
  return exponent < 0 ? scalbn(1 / product, -scale) : scalbn(product, scale)
}

/// For what `raise` needs: finite, and far from overflow.
private func exponential(_ value: Double) -> Double {
  // exp(x) = 2^k * exp(r); exp(r) is the series of r/16, squared four times as (y + 2) * y.
  let power = (value * 1.442695040888963407359924681).rounded(.toNearestOrEven)
  let high = value.addingProduct(-power, 0.69314718055966295651160180568695068359375)
  let reduced = high.addingProduct(-power, 0.28235290563031577122588448175013436e-12) * 0.0625
  var sum = 2.4801587301587301587e-5
  for factor in [
    1.984126984126984127e-4, 1.3888888888888888889e-3, 8.3333333333333333333e-3,
    4.1666666666666666667e-2, 1.6666666666666666667e-1, 0.5, 1,
  ] { sum = factor.addingProduct(sum, reduced) }
  var result = reduced * sum
  for _ in 0..<3 { result *= result + 2 }
  result = 1.0.addingProduct(result, result + 2)
  return scalbn(result, Int(power))
}

/// Of a positive number: the method of fdlibm.
private func logarithm(_ value: Double) -> Double {
  var (fraction, power) = frexp(value)
  if fraction < 0.5.squareRoot() { (fraction, power) = (fraction * 2, power - 1) }
  let f = fraction - 1
  let s = f / (2 + f)
  let s2 = s * s
  let s4 = s2 * s2
  let odd =
    s2
    * (6.666666666666735130e-01 + s4
      * (2.857142874366239149e-01 + s4
        * (1.818357216161805012e-01 + s4 * 1.479819860510658591e-01)))
  let even =
    s4
    * (3.999999999940941908e-01 + s4
      * (2.222219843214978396e-01 + s4 * 1.531383769920937332e-01))
  let half = 0.5 * f * f
  let k = Double(power)
  return k * 6.93147180369123816490e-01
    - ((half - (s * (half + odd + even) + k * 1.90821492927058770002e-10)) - f)
}
