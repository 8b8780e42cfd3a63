// NCCL on libtorch's current stream behind a C interface: how tensors get from one GPU to another. A shared object of its own
// (scripts/build-cuda-graph), so that the program starts where CUDA's libraries are missing. libtorch_cuda.so needs libnccl.so.2 itself:
// NCCL's functions are there once that is loaded, and nothing of it is linked here.
//
// NCCL moves bytes and adds nothing: the order of its sums depends on its version, the network and the number of channels.
//
// Functions that return a flag or a pointer return false or null after an error, whose text resnet_nccl_error has until this thread's next
// call.
#include "../../system/guarded.h"

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <nccl.h>

#include <cstring>
#include <memory>
#include <string>

// Hold for the declarations beside this file, and for NVIDIA's header.
static_assert(sizeof(ncclUniqueId) == 128 && NCCL_UNIQUE_ID_BYTES == 128);
static_assert(ncclSuccess == 0 && ncclInProgress == 7 && ncclInt8 == 0);

namespace {

void check(ncclResult_t result) {
  if (result == ncclSuccess) return;
  const char* more = ncclGetLastError(nullptr);
  TORCH_CHECK(false, "NCCL: ", ncclGetErrorString(result), more && *more ? ": " : "", more ? more : "");
}

struct Member {
  ncclComm_t comm;
  int world;
  c10::DeviceIndex device;

  // What NCCL's own threads found out about the others, and where the next exchange goes.
  cudaStream_t stream() const {
    ncclResult_t state = ncclSuccess;
    check(ncclCommGetAsyncError(comm, &state));
    if (state != ncclInProgress) check(state);
    return c10::cuda::getCurrentCUDAStream(device).stream();
  }
};

const Member& from(void* member) {
  TORCH_CHECK(member, "no communicator");
  return *static_cast<const Member*>(member);
}

const at::Tensor& tensor(void* pointer) { return *static_cast<const at::Tensor*>(pointer); }

// A tensor's bytes. Where they are and how many is checked here: NCCL would read and write beyond them.
size_t bytes(const Member& self, const at::Tensor& of) {
  TORCH_CHECK(of.is_contiguous() && of.get_device() == self.device, "NCCL: a tensor must be contiguous and on GPU ", int(self.device));
  return of.nbytes();
}

}  // namespace

extern "C" {

const char* resnet_nccl_error() { return last_error.c_str(); }

// As NCCL writes it: 22809 is 2.28.9; 0 if it does not say.
int resnet_nccl_version() {
  int version = 0;
  return ncclGetVersion(&version) == ncclSuccess ? version : 0;
}

// Where GPU `device` is in its machine, with a zero behind it: two processes on one GPU cannot use NCCL.
bool resnet_nccl_bus(int device, char* name, int capacity) {
  return done([&] { C10_CUDA_CHECK(cudaDeviceGetPCIBusId(name, capacity, device)); });
}

// The 128 bytes by which the ranks of one communicator find one another. One rank makes them, and its process must live on.
bool resnet_nccl_id(char* bytes) {
  return done([&] {
    ncclUniqueId id;
    check(ncclGetUniqueId(&id));
    std::memcpy(bytes, id.internal, sizeof id.internal);
  });
}

// Waits for the other ranks.
void* resnet_nccl_join(const char* bytes, int rank, int world, int device) {
  Member* joined = nullptr;
  done([&] {
    const c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(device));
    auto member = std::make_unique<Member>(Member{nullptr, world, static_cast<c10::DeviceIndex>(device)});
    ncclUniqueId id;
    std::memcpy(id.internal, bytes, sizeof id.internal);
    check(ncclCommInitRank(&member->comm, world, id, rank));
    joined = member.release();
  });
  return joined;
}

// Of input [world × part], part r goes to rank r; output [world × part] has the parts that come, in order of ranks. The host does not wait.
bool resnet_nccl_all_to_all(void* member, void* output, void* input) {
  return done([&] {
    const Member& self = from(member);
    const at::Tensor &to = tensor(output), &own = tensor(input);
    const size_t all = bytes(self, own);
    TORCH_CHECK(bytes(self, to) == all && all % self.world == 0, "NCCL: parts must be equal");
    const c10::cuda::CUDAGuard guard(self.device);
    const cudaStream_t stream = self.stream();
    const size_t part = all / self.world;
    const char* source = static_cast<const char*>(own.const_data_ptr());
    char* target = static_cast<char*>(to.mutable_data_ptr());
    check(ncclGroupStart());
    // A group that was begun must be ended, whatever happens within.
    ncclResult_t failed = ncclSuccess;
    for (int rank = 0; rank < self.world && failed == ncclSuccess; rank++) {
      failed = ncclSend(source + rank * part, part, ncclInt8, rank, self.comm, stream);
      if (failed == ncclSuccess) failed = ncclRecv(target + rank * part, part, ncclInt8, rank, self.comm, stream);
    }
    const ncclResult_t ended = ncclGroupEnd();
    check(failed);
    check(ended);
  });
}

// The input [part] of every rank, in order of ranks: output [world × part]. The host does not wait.
bool resnet_nccl_all_gather(void* member, void* output, void* input) {
  return done([&] {
    const Member& self = from(member);
    const at::Tensor &to = tensor(output), &own = tensor(input);
    const size_t part = bytes(self, own);
    TORCH_CHECK(bytes(self, to) == part * self.world, "NCCL: parts must be equal");
    const c10::cuda::CUDAGuard guard(self.device);
    check(ncclAllGather(own.const_data_ptr(), to.mutable_data_ptr(), part, ncclInt8, self.comm, self.stream()));
  });
}

// Waits until this rank's exchanges are over.
bool resnet_nccl_wait(void* member) {
  return done([&] {
    const Member& self = from(member);
    c10::cuda::getCurrentCUDAStream(self.device).synchronize();
    self.stream();
  });
}

// Gives everything back without waiting for the others: no exchange is under way, or one that cannot end.
void resnet_nccl_leave(void* member) {
  const std::unique_ptr<Member> self(static_cast<Member*>(member));
  done([&] {
    if (!self) return;
    const c10::cuda::CUDAGuard guard(self->device);
    check(ncclCommAbort(self->comm));
  });
}

}  // extern "C"
