// Runs one kernel over a frame: emulate KERNEL ORDER <INPUT >OUTPUT. The input is what the host would upload, one after
// another: key, u32 tiles, last blocks, tail; networks, orders, tile order, tile choice, block choice, last order, tail
// order; the frame.
#include "cuda_on_cpu.h"

#include "../../kernels/keystream.cu"
#include "../../kernels/permutation.cu"

#include <cstdio>
#include <string>

static std::vector<uint8_t> input;
static size_t at;

static const uint8_t* take(size_t bytes) {
    if (input.size() - at < bytes) {
        std::fprintf(stderr, "the input is too short\n");
        std::exit(1);
    }
    at += bytes;
    return input.data() + at - bytes;
}

int main(int count, char** arguments) {
    if (count != 3) return 2;
    const std::string name = arguments[1], by = arguments[2];
    const cpu::Order order = by == "reverse" ? cpu::Order::Reverse
                           : by == "shuffled" ? cpu::Order::Shuffled : cpu::Order::Forward;
    for (int byte; (byte = std::getchar()) != EOF;) input.push_back((uint8_t)byte);
    Plan plan;
    std::memcpy(plan.key, take(32), 32);
    std::memcpy(&plan.tiles, take(12), 12);
    plan.networks = take(NETWORKS * BLOCK_BYTES);
    plan.orders = take(BLOCK_ORDERS * TILE_BLOCKS);
    std::vector<uint32_t> tile_order(plan.tiles + 1);
    std::memcpy(tile_order.data(), take(4 * plan.tiles), 4 * plan.tiles);
    plan.tile_order = tile_order.data();
    plan.tile_choice = take(plan.tiles);
    plan.block_choice = take((size_t)plan.tiles * TILE_BLOCKS + plan.last_blocks);
    plan.last_order = take(plan.last_blocks);
    plan.tail_order = take(plan.tail);
    const size_t len = (size_t)plan.tiles * TILE_BYTES + plan.last_blocks * BLOCK_BYTES + plan.tail;
    // A vector's memory is aligned for every type. What stands behind the frame must not change.
    std::vector<uint8_t> src(len + 64), dst(len + 64, 0xA5);
    std::memcpy(src.data(), take(len), len);
    const unsigned warps = plan.tiles + 1, blocks = (warps + WARPS - 1) / WARPS;
    if (name == "keystream") {
        std::memcpy(dst.data(), src.data(), len);
        cpu::launch(warps, 32, order, [&] { keystream(&plan, dst.data(), len); });
    } else if (name == "encrypt") {
        cpu::launch(blocks, WARPS * 32, order, [&] { encrypt(&plan, src.data(), dst.data()); });
    } else if (name == "decrypt") {
        cpu::launch(blocks, WARPS * 32, order, [&] { decrypt(&plan, src.data(), dst.data()); });
    } else if (name == "permute") {
        cpu::launch(blocks, WARPS * 32, order, [&] { permute(&plan, src.data(), dst.data()); });
    } else {
        return 2;
    }
    for (size_t i = len; i < dst.size(); ++i)
        if (dst[i] != 0xA5) {
            std::fprintf(stderr, "a byte behind the frame was written\n");
            return 1;
        }
    return std::fwrite(dst.data(), 1, len, stdout) == len ? 0 : 1;
}
