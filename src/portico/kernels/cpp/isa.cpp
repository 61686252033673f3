// The kernels for one instruction set: compiled once for each, PORTICO_ISA naming it, the compiler's flags choosing it.
#include "attention.h"
#include "elementwise.h"
#include "linear.h"
#include "peak.h"
#include "quantized.h"
#include "sampling.h"

namespace portico::PORTICO_ISA {
namespace {

template <class T, class Mul>
void attend_as(const AttendArguments& a) {
    a.keys == KEYS_INT8 ? attend<Int8Keys<T>>(a) : attend<PlainKeys<T, Mul>>(a);
}
template <class T, class Mul>
void prepare_as(const PrepareArguments& a) {
    a.keys == KEYS_INT8 ? prepare<T, StoreInt8<T>>(a) : prepare<T, StorePlain<T, Mul::DEPTH>>(a);
}

void attend_any(const AttendArguments& a, Dtype dtype) {
    dtype == BFLOAT16 ? attend_as<Bf16, MulBf16>(a) : attend_as<float, MulFloat>(a);
}
void prepare_any(const PrepareArguments& a, Dtype dtype) {
    dtype == BFLOAT16 ? prepare_as<Bf16, MulBf16>(a) : prepare_as<float, MulFloat>(a);
}
template <class T, class Product>
bool pack_linear_as(const LinearArguments& a) {
    switch (a.format) {
        case INT8: return pack_quantized<T, Eight>(a);
        case INT4: return pack_quantized<T, Four>(a);
        default: return pack_linear<Product>(a);
    }
}

template <class T, class Product>
void linear_as(const LinearArguments& a) {
    switch (a.format) {
        case INT8: return linear_quantized<T, Eight>(a);
        case INT4: return linear_quantized<T, Four>(a);
        default: return linear<Product>(a);
    }
}

bool pack_linear_any(const LinearArguments& a, Dtype dtype) {
    return dtype == BFLOAT16 ? pack_linear_as<Bf16, MulBf16>(a) : pack_linear_as<float, MulFloat>(a);
}
void linear_any(const LinearArguments& a, Dtype dtype) {
    dtype == BFLOAT16 ? linear_as<Bf16, MulBf16>(a) : linear_as<float, MulFloat>(a);
}
void rms_norm_any(const RmsNormArguments& a, Dtype dtype) {
    dtype == BFLOAT16 ? rms_norm<Bf16>(a) : rms_norm<float>(a);
}
void silu_mul_any(const SiluMulArguments& a, Dtype dtype) {
    dtype == BFLOAT16 ? silu_mul<Bf16>(a) : silu_mul<float>(a);
}

void draw_any(const DrawArguments& a, Dtype dtype) { dtype == BFLOAT16 ? draw<Bf16>(a) : draw<float>(a); }
void top_any(const TopArguments& a, Dtype dtype) { dtype == BFLOAT16 ? top<Bf16>(a) : top<float>(a); }
void describe_any(const DescribeArguments& a, Dtype dtype) {
    dtype == BFLOAT16 ? describe<Bf16>(a) : describe<float>(a);
}
void change_any(const ChangeArguments& a, Dtype dtype) { dtype == BFLOAT16 ? change<Bf16>(a) : change<float>(a); }
int64_t peak_any(int format, Dtype dtype) { return dtype == BFLOAT16 ? peak<MulBf16>(format) : peak<MulFloat>(format); }

}  // namespace

extern const Kernels kernels;
const Kernels kernels = {attend_any,   prepare_any, pack_linear_any, linear_any, rms_norm_any, silu_mul_any,
                         draw_any,     top_any,     describe_any,    change_any, peak_any};

}  // namespace portico::PORTICO_ISA
