// What drawing a token needs to know of a row of logits, in one pass or two over it. Rows are independent, and every sum
// runs in a fixed order.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "arguments.h"
#include "simd.h"

namespace portico::PORTICO_ISA {

constexpr int SPAN = 1024;   // logits whose weights are summed together before they enter the running total
constexpr int PATCH = 64;    // logits that share a maximum while the largest are looked for

template <class T>
inline float largest_of(const T* x, int count) {
    Floats most = splat(-INFINITY);
    int i = 0;
    for (; i + LANES <= count; i += LANES) most = maximum(most, load(x + i));
    float result = largest(most);
    for (; i < count; i++) result = std::max(result, widen(x[i]));
    return result;
}

// exp((x - most) * scale) of up to 16 logits; lanes past `count` are 0.
template <class T>
inline Floats weights_of(const T* x, int count, float most, float scale) {
    Floats value;
    if (count >= LANES) {
        value = load(x);
    } else {
        for (int i = 0; i < LANES; i++) value[i] = i < count ? widen(x[i]) : -INFINITY;
    }
    return exponential((value - most) * scale);
}

template <class T>
inline double span_weight(const T* x, int count, float most, float scale) {
    Floats total{};
    for (int i = 0; i < count; i += LANES) total += weights_of(x + i, count - i, most, scale);
    return sum(total);
}

// The first logit of a row at which the running weight exceeds `target`; the last one with weight if rounding hides it.
template <class T>
inline int64_t place_of(const T* x, int count, const std::vector<double>& spans, double target, float most, float scale) {
    double before = 0;
    int last = (int)spans.size() - 1, span = 0;
    while (last > 0 && spans[last] == 0) last--;
    while (span < last && before + spans[span] <= target) before += spans[span++];
    const int begin = span * SPAN, end = std::min(begin + SPAN, count);
    int64_t found = begin;
    for (int i = begin; i < end; i += LANES) {
        Floats weights = weights_of(x + i, end - i, most, scale);
        for (int lane = 0; lane < LANES && i + lane < end; lane++) {
            if (weights[lane] > 0) found = i + lane;
            before += weights[lane];
            if (weights[lane] > 0 && before > target) return found;
        }
    }
    return found;
}

template <class T>
void draw(const DrawArguments& a) {
#pragma omp parallel for schedule(dynamic, 1) if (a.rows > 1)
    for (int64_t row = 0; row < a.rows; row++) {
        const T* x = (const T*)a.logits + row * a.vocab;
        const float most = largest_of(x, a.vocab), scale = a.scales[row];
        std::vector<double> spans((a.vocab + SPAN - 1) / SPAN);
        double total = 0;
        for (size_t s = 0; s < spans.size(); s++) {
            spans[s] = span_weight(x + s * SPAN, std::min(SPAN, a.vocab - (int)s * SPAN), most, scale);
            total += spans[s];
        }
        a.largest[row] = most;
        a.totals[row] = total;
        if (a.tokens) a.tokens[row] = place_of(x, a.vocab, spans, a.uniforms[row] * total, most, scale);
    }
}

template <class T>
void top(const TopArguments& a) {
#pragma omp parallel for schedule(dynamic, 1) if (a.rows > 1)
    for (int64_t row = 0; row < a.rows; row++) {
        const T* x = (const T*)a.logits + row * a.vocab;
        std::vector<float> maxima((a.vocab + PATCH - 1) / PATCH);
        for (size_t p = 0; p < maxima.size(); p++)
            maxima[p] = largest_of(x + p * PATCH, std::min(PATCH, a.vocab - (int)p * PATCH));
        // As many patches hold a value of at least this as values are wanted: so those values are all among what passes.
        float least = -INFINITY;
        if ((int)maxima.size() > a.count) {
            std::vector<float> sorted = maxima;
            std::nth_element(sorted.begin(), sorted.begin() + a.count - 1, sorted.end(), std::greater<float>());
            least = sorted[a.count - 1];
        }
        std::vector<std::pair<float, int64_t>> passed;
        for (size_t p = 0; p < maxima.size(); p++) {
            if (maxima[p] < least) continue;
            for (int i = (int)p * PATCH; i < std::min((int)(p + 1) * PATCH, a.vocab); i++)
                if (widen(x[i]) >= least) passed.emplace_back(-widen(x[i]), i);
        }
        std::partial_sort(passed.begin(), passed.begin() + a.count, passed.end());  // largest first, of equals the first
        for (int i = 0; i < a.count; i++) {
            a.values[row * a.count + i] = -passed[i].first;
            a.ids[row * a.count + i] = passed[i].second;
        }
    }
}

}  // namespace portico::PORTICO_ISA
