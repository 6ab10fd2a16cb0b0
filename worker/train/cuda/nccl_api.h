// The functions of NCCL that ranks use, as a table: libft_cuda.so fills it with NCCL's own (worker/train/cuda/nccl_table.cc), a fake with its
// own. They are those of nccl.h whose names they bear, over bytes and for communicators that do not block: a call that returns
// kNcclInProgress has not ended before async_error says so.
#pragma once

#include <cstddef>

namespace ft::cuda {

// ncclResult_t.
inline constexpr int kNcclSuccess = 0;
inline constexpr int kNcclInternalError = 3;
inline constexpr int kNcclInvalidArgument = 4;
inline constexpr int kNcclRemoteError = 6;
inline constexpr int kNcclInProgress = 7;

struct NcclUniqueId {
  char bytes[128];
};

using NcclCommunicator = void*;  // ncclComm_t

struct NcclApi {
  int (*get_unique_id)(NcclUniqueId* id);
  int (*init_rank)(NcclCommunicator* communicator, int ranks, const NcclUniqueId& id, int rank);
  int (*async_error)(NcclCommunicator communicator, int* result);
  int (*abort)(NcclCommunicator communicator);
  int (*destroy)(NcclCommunicator communicator);
  int (*group_start)();
  int (*group_end)();
  int (*send)(const void* data, size_t bytes, int peer, NcclCommunicator communicator, void* stream);
  int (*receive)(void* data, size_t bytes, int peer, NcclCommunicator communicator, void* stream);
  int (*all_gather)(const void* mine, void* all, size_t bytes, NcclCommunicator communicator, void* stream);
  int (*broadcast)(void* data, size_t bytes, int root, NcclCommunicator communicator, void* stream);
  const char* (*error_text)(int result);
  // What the library said last in words; may be empty.
  const char* (*last_error)(NcclCommunicator communicator);
  int (*version)();  // 22809 is 2.28.9; 0 where it does not say.
};

}  // namespace ft::cuda
