// The threads that share the work of one kernel. They stay awake for a moment after each call, for the next one is near,
// then sleep, so that an idle engine uses no CPU.
#pragma once

#include <cstdint>

namespace portico {

using Work = void (*)(const void* body, int64_t begin, int64_t end);

// Do [0, count) in runs of at most `grain`, each run on some thread of the team; returns when all are done. What is done
// must not depend on how the range is cut. A second caller, and a body that calls this, do all of theirs alone.
void share_out(int64_t count, int64_t grain, Work work, const void* body);

// The same for a body of one place.
template <class Body>
inline void share_out(int64_t count, int64_t grain, const Body& body) {
    const auto run = [&](int64_t begin, int64_t end) {
        for (; begin < end; begin++) body(begin);
    };
    if (count <= grain) return run(0, count);
    share_out(count, grain, [](const void* r, int64_t begin, int64_t end) { (*(decltype(run)*)r)(begin, end); }, &run);
}

// Rows of so many elements that are worth the call of another thread: a few microseconds of light work.
inline int64_t rows_worth_sharing(int64_t width) { return width < 16384 ? 16384 / width : 1; }

// Threads that share the work, the caller among them.
int team_size();
void set_team_size(int size);

}  // namespace portico
