// Every thread has a share of the range, takes runs from its front, and when it is empty takes runs from the back of the
// others' shares. So nobody ever waits for a thread that has not begun: one that the system keeps from running, because
// other programs want the core too, costs what it would have done, not the time until it runs again. That is what
// barriers and equal parts (OpenMP) make of it: on two cores with another busy program, steps ten times as long.
#include "team.h"

#include <atomic>
#include <chrono>
#include <thread>

#if defined(__linux__)
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace portico {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int MOST = 256;                                     // threads
constexpr auto AWAKE = std::chrono::microseconds(200);        // between two calls
constexpr auto PATIENCE = std::chrono::microseconds(20);      // for the last run of another thread
constexpr int PAUSES = 256;                                   // between looks at the clock

void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

// Sleep until `word` is no longer `seen`, or for no reason.
void sleep_on(std::atomic<uint32_t>& word, uint32_t seen) {
#if defined(__linux__)
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
#else
    word.wait(seen);
#endif
}

void wake_all(std::atomic<uint32_t>& word) {
#if defined(__linux__)
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, MOST, nullptr, nullptr, 0);
#else
    word.notify_all();
#endif
}

// Look until `done()`, for at most `time`, letting others have the core meanwhile; whether it became true.
template <class Done>
bool wait_awake(Clock::duration time, Done done) {
    for (const auto end = Clock::now() + time; Clock::now() < end; std::this_thread::yield())
        for (int i = 0; i < PAUSES; i++, pause())
            if (done()) return true;
    return done();
}

// What is left of one thread's part of the range: its begin above, its end below, so that both change at once.
struct alignas(64) Share {
    std::atomic<uint64_t> word{0};

    void set(uint32_t begin, uint32_t end) { word.store((uint64_t)begin << 32 | end, std::memory_order_release); }

    // Take up to `grain` from the front or the back. What is read of the job after this is what belongs to it: a job
    // does not end before everything taken is done.
    bool take(uint32_t grain, bool front, uint32_t& begin, uint32_t& end) {
        for (uint64_t now = word.load(std::memory_order_acquire);;) {
            begin = now >> 32, end = (uint32_t)now;
            if (begin >= end) return false;
            const uint32_t count = end - begin < grain ? end - begin : grain;
            const uint64_t left = front ? now + ((uint64_t)count << 32) : now - count;
            if (!word.compare_exchange_weak(now, left, std::memory_order_acquire)) continue;
            front ? end = begin + count : begin = end - count;
            return true;
        }
    }
};

class Team {
public:
    int size() const { return size_.load(std::memory_order_relaxed); }

    void resize(int size) {
        if (busy_.test_and_set(std::memory_order_acquire)) return;
        size = size < 1 ? 1 : size > MOST ? MOST : size;
        for (; workers_ < size - 1; workers_++) std::thread([this, me = workers_ + 1] { serve(me); }).detach();
        size_.store(size, std::memory_order_relaxed);
        busy_.clear(std::memory_order_release);
    }

    bool run(int64_t count, int64_t grain, Work work, const void* body) {
        const int size = this->size();
        if (size == 1 || count > UINT32_MAX || busy_.test_and_set(std::memory_order_acquire)) return false;
        work_ = work, body_ = body;
        grain_.store((uint32_t)grain, std::memory_order_relaxed);
        left_.store((uint32_t)count, std::memory_order_relaxed);
        for (int i = 0; i < size; i++) shares_[i].set(count * i / size, count * (i + 1) / size);
        calls_.fetch_add(1);
        if (sleeping_.load() > 0) wake_all(calls_);
        take_part(0, size);
        const auto all_done = [this] { return left_.load(std::memory_order_acquire) == 0; };
        while (!wait_awake(PATIENCE, all_done)) {
            waiting_.store(1);
            const uint32_t left = left_.load();
            if (left) sleep_on(left_, left);  // the idle core lets the system move the thread that is late to it
            waiting_.store(0);
        }
        busy_.clear(std::memory_order_release);
        return true;
    }

private:
    void take_part(int me, int size) {
        uint32_t begin, end;
        for (int i = 0; i < size; i++)
            while (shares_[(me + i) % size].take(grain_.load(std::memory_order_relaxed), i == 0, begin, end)) {
                work_(body_, begin, end);
                const uint32_t left = left_.fetch_sub(end - begin) - (end - begin);
                if (left == 0 && me != 0 && waiting_.load()) wake_all(left_);
            }
    }

    [[noreturn]] void serve(int me) {
        for (uint32_t seen = calls_.load();;) {
            const auto called = [&] { return calls_.load(std::memory_order_acquire) != seen; };
            if (me >= size() || !wait_awake(AWAKE, called)) {
                sleeping_.fetch_add(1);
                while (!called()) sleep_on(calls_, seen);
                sleeping_.fetch_sub(1);
            }
            seen = calls_.load(std::memory_order_acquire);
            if (me < size()) take_part(me, size());
        }
    }

    Share shares_[MOST];
    Work work_ = nullptr;
    const void* body_ = nullptr;
    std::atomic<uint32_t> grain_{1};
    alignas(64) std::atomic<uint32_t> left_{0};
    alignas(64) std::atomic<uint32_t> calls_{0};
    std::atomic<int> sleeping_{0}, waiting_{0}, size_{1};
    std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
    int workers_ = 0;
};

// Never destroyed: its threads live as long as the process. A forked child has none of them and gets a new one.
std::atomic<Team*> team{nullptr};

Team& the_team() {
    Team* found = team.load(std::memory_order_acquire);
    if (found) return *found;
    auto* made = new Team;
    if (team.compare_exchange_strong(found, made)) {
#if defined(__linux__)
        static const int registered = pthread_atfork(nullptr, nullptr, [] { team.store(nullptr); });
        (void)registered;
#endif
        return *made;
    }
    delete made;
    return *found;
}

}  // namespace

void share_out(int64_t count, int64_t grain, Work work, const void* body) {
    if (!the_team().run(count, grain, work, body)) work(body, 0, count);
}

int team_size() { return the_team().size(); }

void set_team_size(int size) { the_team().resize(size); }

}  // namespace portico
