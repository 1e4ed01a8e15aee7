// The whole stage in one pass over device memory: blocks are gathered, permuted and masked on their way.
//
// encrypt: permuted block b of a tile is network(src block order[b]) ^ row b; decrypt is the inverse, its networks are the
// inverse tables; permute is encrypt without the rows: one half of the stage. Grid: one warp for each permuted tile, the
// partial one (which also has the tail) last; WARPS warps in a block. Shared memory: the four networks, and one block for
// each warp. Alignment: src and dst on 8 bytes. Bounds: the frame that the plan describes, no more.
#include "lane.cuh"

constexpr uint32_t WARPS = 4;

enum Step { ENCRYPT, DECRYPT, PERMUTE };

struct Tile {
    uint64_t plain, permuted;  // where the tile's blocks begin
    uint32_t blocks;
    const uint8_t* order;
    const uint8_t* choice;
};

static __device__ __forceinline__ Tile tile_of(const Plan& plan, uint32_t permuted) {
    Tile tile;
    tile.permuted = (uint64_t)permuted * TILE_BYTES;
    tile.choice = plan.block_choice + (uint64_t)permuted * TILE_BLOCKS;
    if (permuted < plan.tiles) {
        tile.plain = (uint64_t)plan.tile_order[permuted] * TILE_BYTES;
        tile.blocks = TILE_BLOCKS;
        tile.order = plan.orders + plan.tile_choice[permuted] * TILE_BLOCKS;
    } else {
        tile.plain = tile.permuted;
        tile.blocks = plan.last_blocks;
        tile.order = plan.last_order;
    }
    return tile;
}

// Byte i of the result is byte table[i] of the block that the warp holds, 8 bytes in each thread.
static __device__ __forceinline__ uint64_t permute_block(const uint8_t* table, uint8_t* shared, uint32_t thread,
                                                         uint64_t mine) {
    *(uint64_t*)(shared + 8 * thread) = mine;
    __syncwarp();
    uint64_t out = 0;
#pragma unroll
    for (uint32_t i = 0; i < 8; ++i) out |= (uint64_t)shared[table[8 * thread + i]] << 8 * i;
    __syncwarp();
    return out;
}

// The lane's next word, where there is a keystream.
template <Step STEP>
static __device__ __forceinline__ uint64_t mask_word(Lane& lane, uint32_t row) {
    if constexpr (STEP == PERMUTE) return 0;
    else return next_word(lane, row % 3);
}

template <Step STEP>
static __device__ __forceinline__ void run(const Plan* plan_in_memory, const uint8_t* src, uint8_t* dst) {
    __shared__ uint64_t networks_words[NETWORKS * BLOCK_BYTES / 8];
    __shared__ uint64_t block_words[WARPS][BLOCK_BYTES / 8];
    const Plan& plan = *plan_in_memory;
    uint8_t* networks = (uint8_t*)networks_words;
    for (uint32_t i = threadIdx.x; i < NETWORKS * BLOCK_BYTES; i += blockDim.x) networks[i] = plan.networks[i];
    __syncthreads();
    const uint32_t thread = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const uint32_t permuted = blockIdx.x * (blockDim.x / LANES) + warp;
    if (permuted > plan.tiles || (permuted == plan.tiles && plan.last_blocks + plan.tail == 0)) return;
    const Tile tile = tile_of(plan, permuted);
    uint8_t* block = (uint8_t*)block_words[warp];
    Lane lane;
    if constexpr (STEP != PERMUTE) lane = warm_lane(plan.key, (uint64_t)permuted * LANES + thread);
    for (uint32_t b = 0; b < tile.blocks; ++b) {
        const uint64_t key = mask_word<STEP>(lane, b);
        const uint64_t plain = tile.plain + tile.order[b] * BLOCK_BYTES + 8 * thread;
        const uint64_t masked = tile.permuted + b * BLOCK_BYTES + 8 * thread;
        const uint8_t* table = networks + tile.choice[b] * BLOCK_BYTES;
        if (STEP != DECRYPT) {
            *(uint64_t*)(dst + masked) = permute_block(table, block, thread, *(const uint64_t*)(src + plain)) ^ key;
        } else {
            *(uint64_t*)(dst + plain) = permute_block(table, block, thread, *(const uint64_t*)(src + masked) ^ key);
        }
    }
    if (permuted < plan.tiles) return;
    const uint64_t key = mask_word<STEP>(lane, tile.blocks);
    const uint64_t end = tile.permuted + (uint64_t)tile.blocks * BLOCK_BYTES;
    for (uint32_t i = 0; i < 8; ++i) {
        const uint32_t at = 8 * thread + i;
        if (at >= plan.tail) break;
        const uint8_t mask = (uint8_t)(key >> 8 * i);
        if (STEP != DECRYPT) {
            dst[end + at] = src[end + plan.tail_order[at]] ^ mask;
        } else {
            dst[end + plan.tail_order[at]] = src[end + at] ^ mask;
        }
    }
}

extern "C" __global__ void __launch_bounds__(WARPS * 32) encrypt(const Plan* plan, const uint8_t* src, uint8_t* dst) {
    run<ENCRYPT>(plan, src, dst);
}

extern "C" __global__ void __launch_bounds__(WARPS * 32) decrypt(const Plan* plan, const uint8_t* src, uint8_t* dst) {
    run<DECRYPT>(plan, src, dst);
}

extern "C" __global__ void __launch_bounds__(WARPS * 32) permute(const Plan* plan, const uint8_t* src, uint8_t* dst) {
    run<PERMUTE>(plan, src, dst);
}
