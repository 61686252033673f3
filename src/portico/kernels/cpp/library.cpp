// The C interface: the kernels of the best instruction set that this machine has, chosen once at load.
#include <cstring>

#include "arguments.h"
#include "team.h"

namespace portico {

#define PORTICO_DECLARE(name) namespace name { extern const Kernels kernels; }
PORTICO_DECLARE(baseline)
#if defined(PORTICO_X86)
PORTICO_DECLARE(avx2)
PORTICO_DECLARE(avx512bf16)
#endif

namespace {

struct Choice {
    const char* name;
    const Kernels* kernels;
    bool runs;
};

// From the best to the one that runs everywhere.
const Choice* choices() {
#if defined(PORTICO_X86)
    __builtin_cpu_init();
    const bool avx512 = __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bf16") &&
                        __builtin_cpu_supports("avx512vnni");
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    static const Choice known[] = {
        {"avx512-bf16", &avx512bf16::kernels, avx512}, {"avx2", &avx2::kernels, has_avx2},
#else
    static const Choice known[] = {
#endif
        {"baseline", &baseline::kernels, true}};
    return known;
}

// The best instruction set, or the one of this name if the machine has it.
const Choice* choose(const char* name) {
    for (const Choice* choice = choices();; choice++) {
        const bool wanted = !name || !std::strcmp(choice->name, name);
        if (choice->runs && wanted) return choice;
        if (!std::strcmp(choice->name, "baseline")) return nullptr;
    }
}

Choice chosen = *choose(nullptr);

}  // namespace
}  // namespace portico

#pragma GCC visibility push(default)
extern "C" {

const char* portico_instruction_set() { return portico::chosen.name; }

// Whether the machine has this instruction set; all calls use it from now on if so.
int portico_choose(const char* name) {
    const portico::Choice* found = portico::choose(name);
    if (found) portico::chosen = *found;
    return found != nullptr;
}

// How many threads each call shares its work among, from now on.
void portico_set_threads(int count) { portico::set_team_size(count); }

void portico_attend(const portico::AttendArguments* a, int dtype) {
    portico::chosen.kernels->attend(*a, portico::Dtype(dtype));
}
void portico_prepare(const portico::PrepareArguments* a, int dtype) {
    portico::chosen.kernels->prepare(*a, portico::Dtype(dtype));
}
void portico_pack_linear(const portico::LinearArguments* a, int dtype) {
    portico::chosen.kernels->pack_linear(*a, portico::Dtype(dtype));
}
void portico_linear(const portico::LinearArguments* a, int dtype) {
    portico::chosen.kernels->linear(*a, portico::Dtype(dtype));
}
void portico_rms_norm(const portico::RmsNormArguments* a, int dtype) {
    portico::chosen.kernels->rms_norm(*a, portico::Dtype(dtype));
}
void portico_draw(const portico::DrawArguments* a, int dtype) {
    portico::chosen.kernels->draw(*a, portico::Dtype(dtype));
}
void portico_top(const portico::TopArguments* a, int dtype) {
    portico::chosen.kernels->top(*a, portico::Dtype(dtype));
}
void portico_describe(const portico::DescribeArguments* a, int dtype) {
    portico::chosen.kernels->describe(*a, portico::Dtype(dtype));
}
void portico_widen(const portico::WidenArguments* a, int dtype) {
    portico::chosen.kernels->widen(*a, portico::Dtype(dtype));
}
void portico_mask(const portico::MaskArguments* a) { portico::chosen.kernels->mask(*a); }
void portico_penalize(const portico::PenalizeArguments* a) { portico::chosen.kernels->penalize(*a); }
void portico_silu_mul(const portico::SiluMulArguments* a, int dtype) {
    portico::chosen.kernels->silu_mul(*a, portico::Dtype(dtype));
}
}
#pragma GCC visibility pop
