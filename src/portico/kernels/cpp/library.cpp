// The C interface: the kernels of the best instruction set that this machine has, chosen once at load.
#include <cstring>

#if defined(PORTICO_X86)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "arguments.h"
#include "team.h"

namespace portico {

#define PORTICO_DECLARE(name) namespace name { extern const Kernels kernels; }
PORTICO_DECLARE(baseline)
#if defined(PORTICO_X86)
PORTICO_DECLARE(avx2)
PORTICO_DECLARE(avx512bf16)
#define PORTICO_DECLARE_TILED(name) \
    namespace name { void linear_any(const LinearArguments&, Dtype); int64_t peak_any(int, Dtype); }
PORTICO_DECLARE_TILED(amx)
PORTICO_DECLARE_TILED(amx_emulated)
#endif

namespace {

struct Choice {
    const char* name;
    const Kernels* kernels;
    bool runs;
};

#if defined(PORTICO_X86)
// Whether there are tiles for bfloat16 and bytes, and Linux lets this process use them: their state is so large that
// it asks to be asked.
bool may_use_tiles() {
    constexpr unsigned FEATURES = 1u << 22 | 1u << 24 | 1u << 25;  // bfloat16, tiles, bytes
    constexpr unsigned STATE = 1u << 17 | 1u << 18;                // shapes and data, kept by the operating system
    constexpr long ASK = 0x1023, TILE_DATA = 18;
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & FEATURES) != FEATURES) return false;
    asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return (a & STATE) == STATE && syscall(SYS_arch_prctl, ASK, TILE_DATA) == 0;
}

Kernels on(Kernels kernels, void (*linear)(const LinearArguments&, Dtype), int64_t (*peak)(int, Dtype)) {
    kernels.linear = linear;
    kernels.peak = peak;
    return kernels;
}
#endif

// From the best to the one that runs everywhere; then what is taken by name alone. `name`: of the wanted one, or null.
const Choice* choose(const char* name) {
#if defined(PORTICO_X86)
    __builtin_cpu_init();
    static const bool avx512 = __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
                               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bf16") &&
                               __builtin_cpu_supports("avx512vnni");
    static const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    static const Kernels on_tiles = on(avx512bf16::kernels, amx::linear_any, amx::peak_any);
    static const Kernels on_emulated_tiles = on(avx512bf16::kernels, amx_emulated::linear_any, amx_emulated::peak_any);
    static const Choice known[] = {
        {"amx", &on_tiles, avx512 && may_use_tiles()},
        {"avx512-bf16", &avx512bf16::kernels, avx512},
        {"avx2", &avx2::kernels, has_avx2},
        {"baseline", &baseline::kernels, true},
        {"amx-emulated", &on_emulated_tiles, avx512},
    };
#else
    static const Choice known[] = {{"baseline", &baseline::kernels, true}};
#endif
    for (const Choice& choice : known)
        if (choice.runs && (!name || !std::strcmp(choice.name, name))) return &choice;
    return nullptr;
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

// Make calls that were noted down, one after another.
void portico_replay(const portico::Call* calls, int64_t count) {
    using namespace portico;
    const Kernels& k = *chosen.kernels;
    for (const Call* call = calls; call < calls + count; call++) {
        const auto dtype = Dtype(call->dtype);
        switch (call->kernel) {
            case ATTEND: k.attend(*(const AttendArguments*)call->arguments, dtype); break;
            case PREPARE: k.prepare(*(const PrepareArguments*)call->arguments, dtype); break;
            case LINEAR: k.linear(*(const LinearArguments*)call->arguments, dtype); break;
            case RMS_NORM: k.rms_norm(*(const RmsNormArguments*)call->arguments, dtype); break;
            case SILU_MUL: k.silu_mul(*(const SiluMulArguments*)call->arguments, dtype); break;
        }
    }
}

// Multiply and add on all threads with all they need at hand, in the way of products with weights of a format; returns
// the operations done, for who measures the time.
int64_t portico_peak(int format, int dtype) { return portico::chosen.kernels->peak(format, portico::Dtype(dtype)); }

void portico_attend(const portico::AttendArguments* a, int dtype) {
    portico::chosen.kernels->attend(*a, portico::Dtype(dtype));
}
void portico_prepare(const portico::PrepareArguments* a, int dtype) {
    portico::chosen.kernels->prepare(*a, portico::Dtype(dtype));
}
int portico_pack_linear(const portico::LinearArguments* a, int dtype) {
    return portico::chosen.kernels->pack_linear(*a, portico::Dtype(dtype));
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
void portico_change(const portico::ChangeArguments* a, int dtype) {
    portico::chosen.kernels->change(*a, portico::Dtype(dtype));
}
void portico_silu_mul(const portico::SiluMulArguments* a, int dtype) {
    portico::chosen.kernels->silu_mul(*a, portico::Dtype(dtype));
}
}
#pragma GCC visibility pop
