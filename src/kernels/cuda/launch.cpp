// Loads compiled kernels, and launches them on libtorch's current stream, so that a captured step has them as nodes of its graph. A shared
// object of its own (scripts/build-cuda-graph), so that the program starts where CUDA's libraries are missing. Functions return 0, or -1 (null)
// and leave a text for resnet_kernels_error.

#include "../../system/guarded.h"

#include <c10/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <map>

namespace {

// The stream that stands beside a device's current one, and the one that it stands beside while it is current.
struct Branch {
  c10::cuda::CUDAStream side, main;
};
std::map<int, Branch> branches;

// What is put on `later` from now on starts after all that is on `earlier`. In a capture this is how a second branch of the graph begins and ends.
void order(const c10::cuda::CUDAStream& earlier, const c10::cuda::CUDAStream& later) {
  c10::cuda::CUDAEvent event;
  event.record(earlier);
  event.block(later);
}

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  // CUDA keeps the error for whoever asks next.
  (void)cudaGetLastError();
  TORCH_CHECK(false, what, ": ", cudaGetErrorString(error));
}

}  // namespace

extern "C" {

// Text of this thread's last error, valid until its next one.
const char* resnet_kernels_error() { return last_error.c_str(); }

// The GPU's architecture: 90 for compute capability 9.0.
int resnet_kernels_architecture(int device) {
  return guarded(-1, [&] {
    int major = 0, minor = 0;
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "the GPU's architecture");
    check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "the GPU's architecture");
    return major * 10 + minor;
  });
}

// Bytes of shared memory that a block may ask for.
int resnet_kernels_shared_memory(int device) {
  return guarded(-1, [&] {
    int bytes = 0;
    check(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "the GPU's shared memory");
    return bytes;
  });
}

// A cubin in memory, which stays loaded.
void* resnet_kernels_load(const void* image, int device) {
  return guarded<void*>(nullptr, [&] {
    const c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(device));
    cudaLibrary_t library;
    check(cudaLibraryLoadData(&library, image, nullptr, nullptr, 0, nullptr, nullptr, 0), "the compiled kernels cannot be loaded");
    return static_cast<void*>(library);
  });
}

// A kernel of a loaded cubin, which may ask for so much shared memory.
void* resnet_kernels_find(void* library, const char* name, int shared_bytes, int device) {
  return guarded<void*>(nullptr, [&] {
    cudaKernel_t kernel;
    check(cudaLibraryGetKernel(&kernel, static_cast<cudaLibrary_t>(library), name), name);
    check(cudaKernelSetAttributeForDevice(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes, device), name);
    return static_cast<void*>(kernel);
  });
}

// Registers, bytes of local memory, and how many blocks fit on a multiprocessor.
int resnet_kernels_facts(void* kernel, int threads, int shared_bytes, int device, int* facts) {
  return guarded(-1, [&] {
    const c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(device));
    cudaFuncAttributes attributes;
    check(cudaFuncGetAttributes(&attributes, kernel), "a kernel's attributes");
    facts[0] = attributes.numRegs;
    facts[1] = static_cast<int>(attributes.localSizeBytes);
    check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&facts[2], kernel, threads, shared_bytes), "a kernel's occupancy");
    return 0;
  });
}

// parameter: what the kernel takes, copied before this returns. overlap: the kernel may start while the one before it ends, and waits for its
// results itself (wait_for_kernel_before in gpu.h).
int resnet_kernels_launch(void* kernel, int columns, int rows, int threads, int shared_bytes, const void* parameter, int device, int overlap) {
  return guarded(-1, [&] {
    const c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(device));
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(columns, rows);
    config.blockDim = dim3(threads);
    config.dynamicSmemBytes = shared_bytes;
    config.stream = c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(device)).stream();
    config.attrs = &attribute;
    config.numAttrs = overlap ? 1 : 0;
    void* parameters[] = {const_cast<void*>(parameter)};
    check(cudaLaunchKernelExC(&config, kernel, parameters), "a kernel cannot be launched");
    return 0;
  });
}

// What this thread launches from now on stands on a branch of its own, after all that was launched before, until resnet_kernels_main.
int resnet_kernels_branch(int device) {
  return guarded(-1, [&] {
    const auto index = static_cast<c10::DeviceIndex>(device);
    const auto main = c10::cuda::getCurrentCUDAStream(index);
    auto found = branches.find(device);
    if (found == branches.end()) found = branches.emplace(device, Branch{c10::cuda::getStreamFromPool(false, index), main}).first;
    found->second.main = main;
    order(main, found->second.side);
    c10::cuda::setCurrentCUDAStream(found->second.side);
    return 0;
  });
}

// What is launched from now on follows what was launched before the branch.
int resnet_kernels_main(int device) {
  return guarded(-1, [&] {
    c10::cuda::setCurrentCUDAStream(branches.at(device).main);
    return 0;
  });
}

// What is launched from now on also follows the branch, if there was one.
int resnet_kernels_join(int device) {
  return guarded(-1, [&] {
    const auto found = branches.find(device);
    if (found != branches.end()) order(found->second.side, c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(device)));
    return 0;
  });
}

}  // extern "C"
