// A stand-in for libcuda.so: device memory is host memory, kernels are the .cu sources compiled for the CPU. Streams do
// nothing until somebody waits for them, so that a missing wait shows; fresh memory is full of 0xA5.
//
// FAKE_CUDA_FAIL=alloc:N | copy:N | launch:N | wait:N makes the N-th call of that kind fail, and all calls after it: the
// device is lost. FAKE_CUDA_VERSION is what the driver says of itself (12000), FAKE_CUDA_DEVICES how many there are (1).
#include "cuda_on_cpu.h"

#include "../../kernels/keystream.cu"
#include "../../kernels/permutation.cu"

#include <deque>
#include <map>
#include <mutex>
#include <string>

typedef int Result;
typedef uintptr_t Handle;
enum { OK = 0, INVALID = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 101, NOT_FOUND = 500, LOST = 719 };

static std::mutex mutex;
static std::map<Handle, std::deque<std::function<void()>>> streams;
static std::map<Handle, std::string> modules, functions;
static Handle last_handle = 0x1000, context;
static bool lost;

static Handle fresh() { return last_handle += 16; }

static int number(const char* name, int otherwise) {
    const char* text = std::getenv(name);
    return text ? std::atoi(text) : otherwise;
}

// Whether this call is the one that shall fail, or comes after it.
static bool fails(const char* kind) {
    static std::map<std::string, int> calls;
    const char* told = std::getenv("FAKE_CUDA_FAIL");
    const std::string prefix = std::string(kind) + ":";
    if (told && std::strncmp(told, prefix.c_str(), prefix.size()) == 0)
        lost = lost || ++calls[kind] >= std::atoi(told + prefix.size());
    return lost;
}

static void drain(Handle stream) {
    std::deque<std::function<void()>>& queue = streams[stream];
    while (!queue.empty()) {
        queue.front()();
        queue.pop_front();
    }
}

static void drain_all() {
    for (auto& stream : streams) drain(stream.first);
}

static Result allocate(void** out, size_t bytes) {
    if (fails("alloc")) return OUT_OF_MEMORY;
    *out = std::malloc(bytes ? bytes : 1);
    std::memset(*out, 0xA5, bytes);
    return OK;
}

static Result copy(void* to, const void* from, size_t bytes, Handle stream) {
    if (fails("copy")) return LOST;
    streams[stream].push_back([=] { std::memcpy(to, from, bytes); });
    return OK;
}

#define API extern "C" __attribute__((visibility("default"))) Result
#define LOCKED std::lock_guard<std::mutex> guard(mutex)

API cuInit(unsigned) { return OK; }
API cuDriverGetVersion(int* version) { *version = number("FAKE_CUDA_VERSION", 12000); return OK; }
API cuDeviceGetCount(int* count) { *count = number("FAKE_CUDA_DEVICES", 1); return OK; }
API cuDeviceGet(int* device, int ordinal) { *device = ordinal; return ordinal == 0 ? OK : NO_DEVICE; }
API cuDeviceGetUuid(uint8_t* uuid, int) { std::memset(uuid, 0x5A, 16); return OK; }
API cuDeviceGetName(char* name, int length, int) { std::snprintf(name, (size_t)length, "Stand-in GPU"); return OK; }
API cuDeviceGetAttribute(int* value, int attribute, int) {
    *value = attribute == 75 ? 7 : attribute == 76 ? 5 : attribute == 115 ? 1 : 0;  // compute capability 7.5, memory pools
    return OK;
}
API cuDeviceTotalMem_v2(size_t* bytes, int) { *bytes = 1 << 30; return OK; }
API cuDevicePrimaryCtxRetain(Handle* out, int) { *out = 0xC0; return OK; }
API cuDevicePrimaryCtxRelease_v2(int) { return OK; }
API cuDevicePrimaryCtxSetFlags_v2(int, unsigned) { return OK; }
API cuCtxSetCurrent(Handle current) { context = current; return OK; }
API cuCtxGetCurrent(Handle* out) { *out = context; return OK; }
API cuCtxSetFlags(unsigned) { return OK; }
API cuCtxSynchronize() { LOCKED; drain_all(); return lost ? LOST : OK; }
API cuStreamCreate(Handle* stream, unsigned) { LOCKED; *stream = fresh(); return OK; }
API cuStreamDestroy_v2(Handle stream) { LOCKED; drain(stream); streams.erase(stream); return OK; }
API cuStreamSynchronize(Handle stream) {
    LOCKED;
    if (fails("wait")) return LOST;
    drain(stream);
    return OK;
}
API cuStreamWaitEvent(Handle, Handle, unsigned) { return OK; }
API cuEventCreate(Handle* event, unsigned) { LOCKED; *event = fresh(); return OK; }
API cuEventDestroy_v2(Handle) { return OK; }
API cuEventRecord(Handle, Handle) { return OK; }
API cuEventSynchronize(Handle) { LOCKED; drain_all(); return OK; }
API cuEventQuery(Handle) { return OK; }
API cuMemAlloc_v2(void** out, size_t bytes) { LOCKED; return allocate(out, bytes); }
API cuMemAllocAsync(void** out, size_t bytes, Handle) { LOCKED; return allocate(out, bytes); }
API cuMemFree_v2(void* memory) { LOCKED; drain_all(); std::free(memory); return OK; }
API cuMemFreeAsync(void* memory, Handle stream) { LOCKED; streams[stream].push_back([=] { std::free(memory); }); return OK; }
API cuMemHostAlloc(void** out, size_t bytes, unsigned) { LOCKED; return allocate(out, bytes); }
API cuMemFreeHost(void* memory) { LOCKED; drain_all(); std::free(memory); return OK; }
API cuMemcpyHtoDAsync_v2(void* to, const void* from, size_t bytes, Handle stream) { LOCKED; return copy(to, from, bytes, stream); }
API cuMemcpyDtoHAsync_v2(void* to, const void* from, size_t bytes, Handle stream) { LOCKED; return copy(to, from, bytes, stream); }
API cuMemcpyDtoDAsync_v2(void* to, const void* from, size_t bytes, Handle stream) { LOCKED; return copy(to, from, bytes, stream); }
API cuModuleLoadData(Handle* module, const char* image) {
    LOCKED;
    if (!std::strstr(image, ".target sm_75")) return INVALID;
    modules[*module = fresh()] = image;
    return OK;
}
API cuModuleUnload(Handle) { return OK; }
// The kernel has to be in the PTX, with the three parameters that it is launched with below.
API cuModuleGetFunction(Handle* function, Handle module, const char* name) {
    LOCKED;
    const std::string& ptx = modules[module];
    const size_t entry = ptx.find(std::string(".entry ") + name + "(");
    if (entry == std::string::npos) return NOT_FOUND;
    const std::string head = ptx.substr(entry, ptx.find(')', entry) - entry);
    size_t parameters = 0;
    for (size_t at = head.find(".param"); at != std::string::npos; at = head.find(".param", at + 1)) ++parameters;
    if (parameters != 3) return NOT_FOUND;
    functions[*function = fresh()] = name;
    return OK;
}
API cuLaunchKernel(Handle function, unsigned blocks, unsigned, unsigned, unsigned threads, unsigned, unsigned, unsigned,
                   Handle stream, void** arguments, void**) {
    LOCKED;
    if (fails("launch")) return LOST;
    const std::string name = functions[function];
    const Plan* plan = *(const Plan**)arguments[0];
    if (threads != WARPS * 32) return INVALID;
    std::function<void()> kernel;
    if (name == "keystream") {
        uint8_t* in_place = *(uint8_t**)arguments[1];
        const uint64_t len = *(const uint64_t*)arguments[2];
        kernel = [=] { keystream(plan, in_place, len); };
    } else {
        const uint8_t* src = *(const uint8_t**)arguments[1];
        uint8_t* dst = *(uint8_t**)arguments[2];
        if (name == "encrypt") kernel = [=] { encrypt(plan, src, dst); };
        else if (name == "decrypt") kernel = [=] { decrypt(plan, src, dst); };
        else if (name == "permute") kernel = [=] { permute(plan, src, dst); };
        else return INVALID;
    }
    streams[stream].push_back([=] { cpu::launch(blocks, threads, cpu::Order::Shuffled, kernel); });
    return OK;
}
API cuGetErrorName(Result error, const char** name) {
    *name = error == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_LAUNCH_FAILED";
    return OK;
}
API cuGetErrorString(Result, const char** text) { *text = "a failure that was asked for"; return OK; }
