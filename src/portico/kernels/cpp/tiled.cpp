// The products that have a way on matrix tiles: compiled for the real ones and for those held in memory.
#include "linear.h"
#include "tiled.h"

namespace portico::PORTICO_ISA {
namespace {

template <class T>
void quantized(const LinearArguments& a) {
    a.format == INT8 ? linear_tiled_quantized<T, Eight>(a) : linear_tiled_quantized<T, Four>(a);
}

}  // namespace

void linear_any(const LinearArguments& a, Dtype dtype) {
    if (a.format != AS_IS) return dtype == BFLOAT16 ? quantized<Bf16>(a) : quantized<float>(a);
    dtype == BFLOAT16 ? linear_tiled(a) : linear<MulFloat>(a);
}

}  // namespace portico::PORTICO_ISA
