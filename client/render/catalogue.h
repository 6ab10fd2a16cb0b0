// Every sentence that ftctl says to people, and the titles of its tables, in English and Chinese. Classes of failures and
// types of events stay the words of the API.
//   Localized(terminal, Text::kSubmitted, name, id)
// A sentence names its arguments {0}, {1}, ...; a test checks that both languages use the same ones.
#pragma once

#include <fmt/format.h>

#include <span>
#include <string>
#include <string_view>

#include "client/render/terminal.h"

namespace ft::client {

enum class Text {
  kUnreachable,
  kNotStarted,
  kContactLost,
  kContactBack,
  kSubmitted,
  kWatchHint,
  kAmbiguous,
  kWatchLeft,
  kStillRunning,
  kState,
  kSucceeded,
  kFailed,
  kCancelled,
  kPaused,
  kPausing,
  kResuming,
  kPausedElsewise,
  kRunInterrupted,
  kRunAgain,
  kDaemonsGone,
  kLeftRunning,
  kAnotherRun,
  kDiskFullLeave,
  kDataChanged,
  kNext,
  kStarting,
  kStarted,
  kAlreadyUp,
  kNeedsUncordon,
  kStopped,
  kNothingRuns,
  kNoJobs,
  kNoNodes,
  kOtherVersion,
  kFtctlOlder,
  kCoordinatorOlder,
  kNodeRemoved,
  kStillDraining,
  kNoCheckpoints,
  kNoEvents,
  kNoMetrics,
  kDeleted,
  kCancelAsked,
  kLedgersEqual,
  kLedgersDiffer,
  kDifferSamples,
  kDifferGradient,
  kDifferWeights,
  kDifferMissing,
  kUploading,
  kDownloading,
  kDownloadedByOther,
  kWaitingForHub,
  kToDownload,
  kDownloaded,
  kCacheEmpty,
  kCacheRemoved,
  kQueuePosition,
  kToUnblock,
  kAllWell,
  kProblems,
  kLoss,
  kLossAndPerplexity,
  kScore,
  kEta,
  kTokensPerSecond,
  kPhase,
  kDataReport,
  kOneSample,
  kSamples,
  kOneToken,
  kTokens,
  kEarlierResult,
  kOtherResult,
  kFromFiles,
  kNothingToFollow,
  kField,
  kNone,
  kYes,
  kNo,
  kSkipped,
  kAtStep,
  kStepOf,
  kBytesOf,
  kWithLoss,
  kEvaluationAt,
  kWithHeldOutLoss,
  kWithPhase,
  kBecause,
  kContactIsLost,
  kOfRank,
  kStepFigures,
  kNotReachable,
  // Titles of tables.
  kColumnName,
  kColumnId,
  kColumnResult,
  kColumnState,
  kColumnStep,
  kColumnLoss,
  kColumnLeft,
  kColumnAge,
  kColumnNode,
  kColumnDevice,
  kColumnFree,
  kColumnMemory,
  kColumnJobs,
  kColumnSeen,
  kColumnAttempt,
  kColumnSize,
  kColumnManifest,
  kColumnPath,
  kColumnRate,
  kColumnGradient,
  kColumnTokens,
  kColumnTokensPerSecond,
  kColumnTime,
  kColumnPeak,
  kColumnMethod,
  kColumnFamily,
  kColumnOffload,
  kColumnSource,
  kColumnRevision,
  kColumnUnfinished,
  kColumnUsed,
  kColumnZero0,
  kColumnZero1,
  kColumnZero2,
  kColumnZero3,
  // What `ftctl get` shows of a job.
  kFieldName,
  kFieldId,
  kFieldState,
  kFieldWhy,
  kFieldContact,
  kFieldFailure,
  kFieldProgress,
  kFieldEvaluation,
  kFieldCheckpoint,
  kFieldAttempts,
  kFieldCreated,
  kFieldStarted,
  kFieldEnded,
  kFieldRunFolder,
  kFieldAdapter,
  kFieldSha256,
  kRecipesEqual,
  kCount,  // Not a sentence.
};

struct Sentence {
  Text key;
  std::string_view english;
  std::string_view chinese;
};

// All of them, in the order of the keys.
std::span<const Sentence> Catalogue();

std::string_view Lookup(Language language, Text text);

template <typename... Args>
std::string Localized(const Terminal& terminal, Text text, const Args&... args) {
  const std::string_view pattern = Lookup(terminal.language, text);
  return fmt::vformat(fmt::string_view(pattern.data(), pattern.size()), fmt::make_format_args(args...));
}

}  // namespace ft::client
