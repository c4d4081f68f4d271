import Glibc

/// `math.Pow`.
func raise(_ base: Double, _ exponent: Double) -> Double { pow(base, exponent) }
