// The products that have a way on matrix tiles: compiled for the real ones and for those held in memory.
#include "linear.h"
#include "peak.h"
#include "tiled.h"

namespace portico::PORTICO_ISA {
namespace {

template <class T>
void quantized(const LinearArguments& a) {
    a.format == INT8 ? linear_tiled_quantized<T, Eight>(a) : linear_tiled_quantized<T, Four>(a);
}

// The same in tiles: the products of one step, again and again.
int64_t peak_on_tiles(int format) {
    const int64_t times = 16 * team_size();
    share_out(times, 1, [&](int64_t) {
        Tiles tiles(TILE_ROWS, TILE_BYTES);
        zero_sums<2>(tiles);
        const char zeros[TILE_BYTES] = {};
        tiles.load<INPUTS>(zeros, 0), tiles.load<INPUTS + 1>(zeros, 0);
        tiles.load<WEIGHTS>(zeros, 0), tiles.load<WEIGHTS + 1>(zeros, 0);
        for (int64_t round = 0; round < PEAK_ROUNDS; round++) {
            if (format == AS_IS) {
                tiles.multiply_bf16<SUMS, INPUTS, WEIGHTS>(), tiles.multiply_bf16<SUMS + 1, INPUTS, WEIGHTS + 1>();
                tiles.multiply_bf16<SUMS + 2, INPUTS + 1, WEIGHTS>(), tiles.multiply_bf16<SUMS + 3, INPUTS + 1, WEIGHTS + 1>();
            } else {
                tiles.multiply_by_signed<SUMS, INPUTS, WEIGHTS>(), tiles.multiply_by_signed<SUMS + 1, INPUTS, WEIGHTS + 1>();
                tiles.multiply_by_signed<SUMS + 2, INPUTS + 1, WEIGHTS>();
                tiles.multiply_by_signed<SUMS + 3, INPUTS + 1, WEIGHTS + 1>();
            }
        }
    });
    const int64_t inputs = format == AS_IS ? TILE_BYTES / 2 : TILE_BYTES;
    return times * PEAK_ROUNDS * 4 * TILE_ROWS * LANES * inputs * 2;
}

}  // namespace

int64_t peak_any(int format, Dtype dtype) {
    return format == AS_IS && dtype != BFLOAT16 ? peak<MulFloat>(format) : peak_on_tiles(format);
}

void linear_any(const LinearArguments& a, Dtype dtype) {
    if (a.format != AS_IS) return dtype == BFLOAT16 ? quantized<Bf16>(a) : quantized<float>(a);
    dtype == BFLOAT16 ? linear_tiled(a) : linear<MulFloat>(a);
}

}  // namespace portico::PORTICO_ISA
