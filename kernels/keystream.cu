// dst[i] ^= keystream[i], in place: one half of the stage.
//
// Grid: one warp for each tile, the partial one too; any number of warps in a block. Shared memory: none. Alignment: dst on
// 8 bytes. Bounds: `len` bytes are read and written, no more.
#include "lane.cuh"

extern "C" __global__ void keystream(const Plan* plan, uint8_t* dst, uint64_t len) {
    const uint32_t thread = threadIdx.x % LANES;
    const uint64_t tile = ((uint64_t)blockIdx.x * blockDim.x + threadIdx.x) / LANES;
    const uint64_t start = tile * TILE_BYTES;
    if (start >= len) return;
    Lane lane = warm_lane(plan->key, tile * LANES + thread);
    for (uint32_t row = 0; row < TILE_BLOCKS && start + row * BLOCK_BYTES < len; ++row) {
        const uint64_t key = next_word(lane, row % 3);
        const uint64_t at = start + row * BLOCK_BYTES + 8 * thread;
        if (at + 8 <= len) {
            *(uint64_t*)(dst + at) ^= key;
        } else {
            for (uint32_t i = 0; at + i < len; ++i) dst[at + i] ^= (uint8_t)(key >> 8 * i);
        }
    }
}
