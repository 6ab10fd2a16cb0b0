#include "worker/train/cuda/nccl_table.h"

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <cstring>

namespace ft::cuda {
namespace {

static_assert(sizeof(ncclUniqueId) == sizeof(NcclUniqueId));
static_assert(ncclSuccess == kNcclSuccess && ncclInternalError == kNcclInternalError &&
              ncclInvalidArgument == kNcclInvalidArgument && ncclRemoteError == kNcclRemoteError &&
              ncclInProgress == kNcclInProgress);

ncclComm_t Of(NcclCommunicator communicator) { return static_cast<ncclComm_t>(communicator); }
cudaStream_t StreamOf(void* stream) { return static_cast<cudaStream_t>(stream); }

int GetUniqueId(NcclUniqueId* id) {
  ncclUniqueId made;
  const ncclResult_t result = ncclGetUniqueId(&made);
  std::memcpy(id->bytes, made.internal, sizeof(made.internal));
  return result;
}

int InitRank(NcclCommunicator* communicator, int ranks, const NcclUniqueId& id, int rank) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclUniqueId theirs;
  std::memcpy(theirs.internal, id.bytes, sizeof(theirs.internal));
  ncclComm_t made = nullptr;
  const ncclResult_t result = ncclCommInitRankConfig(&made, ranks, theirs, rank, &config);
  *communicator = made;
  return result;
}

int AsyncError(NcclCommunicator communicator, int* result) {
  ncclResult_t now = ncclSuccess;
  const ncclResult_t asked = ncclCommGetAsyncError(Of(communicator), &now);
  *result = now;
  return asked;
}

int Send(const void* data, size_t bytes, int peer, NcclCommunicator communicator, void* stream) {
  return ncclSend(data, bytes, ncclInt8, peer, Of(communicator), StreamOf(stream));
}

int Receive(void* data, size_t bytes, int peer, NcclCommunicator communicator, void* stream) {
  return ncclRecv(data, bytes, ncclInt8, peer, Of(communicator), StreamOf(stream));
}

int AllGather(const void* mine, void* all, size_t bytes, NcclCommunicator communicator, void* stream) {
  return ncclAllGather(mine, all, bytes, ncclInt8, Of(communicator), StreamOf(stream));
}

int Broadcast(void* data, size_t bytes, int root, NcclCommunicator communicator, void* stream) {
  return ncclBroadcast(data, data, bytes, ncclInt8, root, Of(communicator), StreamOf(stream));
}

int Version() {
  int version = 0;
  return ncclGetVersion(&version) == ncclSuccess ? version : 0;
}

}  // namespace

const NcclApi& LinkedNccl() {
  static const NcclApi api{
      .get_unique_id = GetUniqueId,
      .init_rank = InitRank,
      .async_error = AsyncError,
      .abort = +[](NcclCommunicator communicator) -> int { return ncclCommAbort(Of(communicator)); },
      .destroy = +[](NcclCommunicator communicator) -> int { return ncclCommDestroy(Of(communicator)); },
      .group_start = +[]() -> int { return ncclGroupStart(); },
      .group_end = +[]() -> int { return ncclGroupEnd(); },
      .send = Send,
      .receive = Receive,
      .all_gather = AllGather,
      .broadcast = Broadcast,
      .error_text = +[](int result) { return ncclGetErrorString(static_cast<ncclResult_t>(result)); },
      .last_error = +[](NcclCommunicator communicator) { return ncclGetLastError(Of(communicator)); },
      .version = Version};
  return api;
}

}  // namespace ft::cuda
