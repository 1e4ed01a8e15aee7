// One keystream lane: its seed, the maps, how states become a word. The same as src/chaos/{lane,lss,lorenz}.rs.
#pragma once
#include "common.cuh"

struct Lane {
    double t, u, v, x, y, z;
};

static __device__ __forceinline__ double bits(uint64_t pattern) { return __longlong_as_double((long long)pattern); }

// -- seed: output block k of the keyed BLAKE3 XOF of "lanes" is the seed of lane k -------------------------------------

static __device__ __forceinline__ uint32_t rotate_right(uint32_t word, uint32_t by) {
    return (word >> by) | (word << (32 - by));
}

static __device__ __forceinline__ void mix(uint32_t* s, int a, int b, int c, int d, uint32_t x, uint32_t y) {
    s[a] += s[b] + x;
    s[d] = rotate_right(s[d] ^ s[a], 16);
    s[c] += s[d];
    s[b] = rotate_right(s[b] ^ s[c], 12);
    s[a] += s[b] + y;
    s[d] = rotate_right(s[d] ^ s[a], 8);
    s[c] += s[d];
    s[b] = rotate_right(s[b] ^ s[c], 7);
}

// The first ten words (40 bytes) of output block `counter`: BLAKE3 (O'Connor et al. 2020), section 2.2, with the flags
// KEYED_HASH | CHUNK_START | CHUNK_END | ROOT over the one block "lanes".
static __device__ __forceinline__ void seed_words(const uint32_t* key, uint64_t counter, uint64_t* seed) {
    const uint32_t flags = 16 | 1 | 2 | 8, length = 5;
    uint32_t m[16] = {0x656e616cu, 0x73u};  // "lane", "s"
    uint32_t s[16] = {key[0], key[1], key[2], key[3], key[4], key[5], key[6], key[7],
                      0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au,
                      (uint32_t)counter, (uint32_t)(counter >> 32), length, flags};
#pragma unroll
    for (int round = 0; round < 7; ++round) {
        mix(s, 0, 4, 8, 12, m[0], m[1]);
        mix(s, 1, 5, 9, 13, m[2], m[3]);
        mix(s, 2, 6, 10, 14, m[4], m[5]);
        mix(s, 3, 7, 11, 15, m[6], m[7]);
        mix(s, 0, 5, 10, 15, m[8], m[9]);
        mix(s, 1, 6, 11, 12, m[10], m[11]);
        mix(s, 2, 7, 8, 13, m[12], m[13]);
        mix(s, 3, 4, 9, 14, m[14], m[15]);
        const uint32_t next[16] = {m[2], m[6], m[3], m[10], m[7], m[0], m[4], m[13],
                                   m[1], m[11], m[12], m[5], m[9], m[14], m[15], m[8]};
#pragma unroll
        for (int i = 0; i < 16; ++i) m[i] = next[i];
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) s[i] ^= s[i + 8];
#pragma unroll
    for (int i = 0; i < 2; ++i) s[i + 8] ^= key[i];
#pragma unroll
    for (int i = 0; i < 5; ++i) seed[i] = (uint64_t)s[2 * i] | (uint64_t)s[2 * i + 1] << 32;
}

// -- maps --------------------------------------------------------------------------------------------------------------

static __device__ __forceinline__ void step_lss(Lane& lane) {
    const uint64_t sine[8] = {0x400921fb54442d18ull, 0x400921fb54442d60ull, 0x3ff1d8f9b8798c13ull, 0x3fca37b40755b5e8ull,
                              0x3f97996a2d51e6baull, 0x3f5cbc0e1854470dull, 0x3f193d7c8fdfcc64ull, 0x3ed1559283f92706ull};
    const double w = __fma_rn(-lane.t, lane.t, lane.t);
    double p = bits(sine[7]);
#pragma unroll
    for (int i = 6; i >= 0; --i) p = __fma_rn(p, w, bits(sine[i]));
    const double m = w * __fma_rn(lane.v, p, lane.u);
    const double most = bits(0x3fefffffffffffffull);
    lane.t = m < most ? m : most;
}

static __device__ __forceinline__ void step_lorenz(Lane& lane) {
    const double h = bits(0x3fa2c40a2a705846ull), h_sigma = bits(0x3fd7750cb50c6e58ull);
    const double x = __fma_rn(h_sigma, lane.y, lane.x * bits(0x3fe44579a579c8d4ull));
    const double hx = h * x;
    const double y = __fma_rn(hx, 28.0 - lane.z, lane.y * bits(0x3feed3bf5d58fa7cull));
    lane.z = __fma_rn(hx, y, lane.z * bits(0x3fecdf53a397f14aull));
    lane.x = x;
    lane.y = y;
}

// Lane `number` of the whole frame, after its warm-up.
static __device__ __forceinline__ Lane warm_lane(const uint32_t* key, uint64_t number) {
    uint64_t seed[5];
    seed_words(key, number, seed);
    double r[5];
#pragma unroll
    for (int i = 0; i < 5; ++i) r[i] = ((double)(seed[i] >> 12) + 0.5) * bits(0x3cb0000000000000ull);  // 2^-52
    Lane lane;
    lane.u = 4.0 * r[0];
    lane.t = r[1];
    lane.v = (4.0 - lane.u) * 0.25;
    lane.x = 30.0 * r[2] - 15.0;
    lane.y = 30.0 * r[3] - 15.0;
    lane.z = 30.0 * r[4] + 10.0;
    for (int i = 0; i < 8; ++i) {
        step_lss(lane);
        step_lorenz(lane);
    }
    return lane;
}

// Low four bit planes from the logistic-sine state, high four from the Lorenz coordinate.
static __device__ __forceinline__ uint64_t word(double t, double s) {
    const uint32_t low = 0x0F0F0F0Fu;
    const uint32_t lo = (uint32_t)__double_as_longlong(t), hi = (uint32_t)__double_as_longlong(s);
    const uint32_t a = (lo & low) | (hi & ~low);
    const uint32_t b = ((lo >> 4) & low) | ((hi << 4) & ~low);
    return (uint64_t)a | (uint64_t)b << 32;
}

// The words of a lane, one for each row: step to row 3q + c.
static __device__ __forceinline__ uint64_t next_word(Lane& lane, uint32_t coordinate) {
    if (coordinate == 0) step_lorenz(lane);
    step_lss(lane);
    return word(lane.t, coordinate == 0 ? lane.x : coordinate == 1 ? lane.y : lane.z);
}
