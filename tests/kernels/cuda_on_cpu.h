// Runs CUDA kernels on the CPU: a fibre for each thread of a block, and barriers that switch between them. The order in
// which threads get their turns can be changed, so that a missing barrier shows.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#define __global__
#define __device__
#define __shared__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)

struct Dim { unsigned x; };
static Dim threadIdx, blockIdx, blockDim;

namespace cpu {

enum class State { Ready, AtWarp, AtBlock, Done };
enum class Order { Forward, Reverse, Shuffled };

struct Fibre {
    ucontext_t entry;
    jmp_buf at;
    std::vector<char> stack;
    State state;
    bool begun;
};

static std::vector<Fibre> fibres;
static std::function<void()> kernel;
static jmp_buf scheduler;
static unsigned current;

static void body() {
    kernel();
    fibres[current].state = State::Done;
    _longjmp(scheduler, 1);
}

static void wait(State at) {
    fibres[current].state = at;
    if (!_setjmp(fibres[current].at)) _longjmp(scheduler, 1);
}

static void turn(unsigned thread) {
    current = thread;
    threadIdx.x = thread;
    Fibre& fibre = fibres[thread];
    if (_setjmp(scheduler)) return;
    if (fibre.begun) _longjmp(fibre.at, 1);
    fibre.begun = true;
    setcontext(&fibre.entry);
}

// All of `from..to` that are not done wait at the same barrier: they go on.
static bool release(unsigned from, unsigned to, State barrier) {
    bool any = false;
    for (unsigned i = from; i < to; ++i) {
        if (fibres[i].state == State::Done) continue;
        if (fibres[i].state != barrier) return false;
        any = true;
    }
    for (unsigned i = from; any && i < to; ++i)
        if (fibres[i].state == barrier) fibres[i].state = State::Ready;
    return any;
}

static void run_block(unsigned threads, Order order) {
    fibres.resize(threads);
    for (Fibre& fibre : fibres) {
        fibre.stack.resize(1 << 16);
        fibre.state = State::Ready;
        fibre.begun = false;
        getcontext(&fibre.entry);
        fibre.entry.uc_stack = {fibre.stack.data(), 0, fibre.stack.size()};
        makecontext(&fibre.entry, body, 0);
    }
    std::vector<unsigned> turns(threads);
    for (unsigned i = 0; i < threads; ++i) turns[i] = order == Order::Reverse ? threads - 1 - i : i;
    uint64_t random = 0x9E3779B97F4A7C15u;
    for (;;) {
        for (unsigned i = threads; order == Order::Shuffled && i > 1; --i) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            std::swap(turns[i - 1], turns[(random >> 33) % i]);
        }
        bool done = true;
        for (unsigned thread : turns) {
            if (fibres[thread].state == State::Ready) turn(thread);
            done = done && fibres[thread].state == State::Done;
        }
        if (done) return;
        bool moved = false;
        for (unsigned warp = 0; warp < threads; warp += 32)
            moved = release(warp, warp + 32 < threads ? warp + 32 : threads, State::AtWarp) || moved;
        if (!moved && !release(0, threads, State::AtBlock)) {
            std::fprintf(stderr, "a barrier that not all threads reach\n");
            std::exit(1);
        }
    }
}

static void launch(unsigned blocks, unsigned threads, Order order, std::function<void()> body) {
    kernel = std::move(body);
    blockDim.x = threads;
    for (unsigned i = 0; i < blocks; ++i) {
        blockIdx.x = order == Order::Reverse ? blocks - 1 - i : i;
        run_block(threads, order);
    }
}

}  // namespace cpu

#define __syncthreads() cpu::wait(cpu::State::AtBlock)
#define __syncwarp() cpu::wait(cpu::State::AtWarp)

static inline long long __double_as_longlong(double value) {
    long long pattern;
    std::memcpy(&pattern, &value, 8);
    return pattern;
}
static inline double __longlong_as_double(long long pattern) {
    double value;
    std::memcpy(&value, &pattern, 8);
    return value;
}
static inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }
