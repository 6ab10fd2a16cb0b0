#include "worker/data/readers/encoding_guess.h"

#include <unicode/ucnv.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <unordered_set>
#include <utility>

namespace ft::data {
namespace {

// The most frequent characters of modern Chinese prose and of questions to shops, libraries and clinics.
constexpr std::string_view kSimplified =
    "的一和个是以能用在可有人为这数中我们了要不来生于提行您对据作物成学大分工方如它动力时地种法通"
    "并发进更过他使文常或定会子下多理到等供出关解助机表体些信量需意高性度网建自类间计式化最面题应"
    "重上户语程你问之好保其息将点够果现实入设同件所内家全例与也算因型活加得帮标公字开而电变相都确"
    "务业经输两技美主系者包国新她情品术本产具安此智气小取持名目心创句感给水结着比模非示无器展事后"
    "么正里述制列习平然天交特让很科效球合写决影接每图色存容单组统当受根改由什员快服处减选想识论位"
    "说任明值少总社部就析源指求从还话括支健利车导增议外格构形手流速络调序直放词长客期强获年观章该"
    "排运响查引造步三康素站且起知乐己元但游言样断被环整项准择别各备描及达教简态率集验何音找护海节"
    "则立互施太传适便医清许食界疗温次注前场满积见试基请案身完做区欢病复市看望阳称质收像风书带司义"
    "原优味采购日神拥推规线广符管世布喜共价境考释拉约联段候商口象未友权政难斯金回治视告软只队深片"
    "旅道证希消第去没头老把真东西走女先吧吗呢啊谁那又却哪怎钱路门店馆号借费退换货订几周末早晚午月"
    "北京院药吃儿童登录密码诉谢答城省县岁父母孩朋爱春夏秋冬山火土木雨雪花草树鱼鸟马牛羊狗猫红黄蓝"
    "白黑低短";

// The same in traditional characters.
constexpr std::string_view kTraditional =
    "的一和個是以能用在可有人為這數中我們了要不來生於提行您對據作物成學大分工方如它動力時地種法通"
    "併發進更過他使文常或定會子下多理到等供出關解助機表體些信量需意高性度網建自類間計式化最面題應"
    "重上戶語程你問之好保其息將點夠果現實入設同件所內家全例與也算因型活加得幫標公字開而電變相都確"
    "務業經輸兩技美主系者包國新她情品術本產具安此智氣小取持名目心創句感給水結著比模非示無器展事後"
    "麼正里述制列習平然天交特讓很科效球合寫決影接每圖色存容單組統當受根改由什員快服處減選想識論位"
    "說任明值少總社部就析源指求從還話括支健利車導增議外格構形手流速絡調序直放詞長客期強獲年觀章該"
    "排運響查引造步三康素站且起知樂己元但游言樣斷被環整項准擇別各備描及達教簡態率集驗何音找護海節"
    "則立互施太傳適便醫清許食界療溫次注前場滿積見試基請案身完做區歡病復市看望陽稱質收像風書帶司義"
    "原優味採購日神擁推規線廣符管世布喜共價境考釋拉約聯段候商口象未友權政難斯金回治視告軟只隊深片"
    "旅道證希消第去沒頭老把真東西走女先吧嗎呢啊誰那又卻哪怎錢路門店館號借費退換貨訂幾週末早晚午月"
    "北京院藥吃兒童登錄密碼訴謝答城省縣歲父母孩朋愛春夏秋冬山火土木雨雪花草樹魚鳥馬牛羊狗貓紅黃藍"
    "白黑低短";

// The most frequent syllables of Korean.
constexpr std::string_view kKorean =
    "이다는의에을를가고하지은로서도기사한인대어자리나시정수일그아해들있보부스전상제원과라주장만적"
    "여국연성중신동구생경물관면세으안공방조소무미유계용오우비영선실업진화분문모치간내학입등개행위"
    "통재양산식회발결금데할습니까요합며것때거더게될했었터넷책빌반납열번호년월명점단음말바차트드프"
    "크타파르마야각특별최현활처교육환불배송능추천권민당않같싶좋네질답변체필저려된든설립예약취카페"
    "메뉴날씨";

// Frequent characters of Japanese beside kana.
constexpr std::string_view kJapanese =
    "日一国会人年大十二本中長出三同時事自行社見月分後前生間対上部東者地合市業内方四定今回新場金入"
    "立開手力学問高代明実子動京全目表通外最言理体化田用主題下来作性要制成取和以機加思家話世受区県"
    "続進正安設保改数記院女初北週書館予約返品質答料電車駅店朝夜何名先私気食飲使教送便無可能";

// Marks that texts in all of these languages are written with.
constexpr std::string_view kMarks = "“”‘’…—、。《》「」『』【】〈〉！（），：；？·°℃±×÷～％　";

// A share of common characters below this is noise: specialised texts have twice as many.
constexpr double kLeastShare = 0.2;
// Encodings whose share comes this near to the best one's are as likely.
constexpr double kNear = 0.8;

using Characters = std::unordered_set<UChar32>;

Characters SetOf(std::string_view text) {
  Characters set;
  const auto size = static_cast<int32_t>(text.size());
  for (int32_t i = 0; i < size;) {
    UChar32 c = 0;
    U8_NEXT(text.data(), i, size, c);
    set.insert(c);
  }
  return set;
}

struct Candidate {
  Encoding encoding;
  const char* icu_name;
  const Characters* common;
  bool kana = false;  // Kana count as common.
};

const std::array<Candidate, 5>& Candidates() {
  static const Characters simplified = SetOf(kSimplified), traditional = SetOf(kTraditional),
                          korean = SetOf(kKorean), japanese = SetOf(kJapanese);
  static const std::array<Candidate, 5> candidates = {
      {{Encoding::kGb18030, "GB18030", &simplified},
       {Encoding::kBig5, "windows-950", &traditional},
       {Encoding::kEucKr, "windows-949", &korean},
       {Encoding::kShiftJis, "ibm-943_P15A-2003", &japanese, /*kana=*/true},
       {Encoding::kEucJp, "EUC-JP", &japanese, /*kana=*/true}}};
  return candidates;
}

bool IsKana(UChar32 c) { return (c >= 0x3041 && c <= 0x3096) || (c >= 0x30A1 && c <= 0x30FA); }

// Signs of all languages say little, and ASCII nothing.
bool IsMark(UChar32 c) {
  const bool punctuation = (c >= 0x2000 && c <= 0x206F) || (c >= 0x3000 && c <= 0x303F) || c == 0x2103;
  const bool latin = c == 0xA0 || c == 0xA7 || c == 0xB0 || c == 0xB1 || c == 0xB7 || c == 0xD7 || c == 0xF7;
  return punctuation || latin || (c >= 0xFF00 && c <= 0xFF60);
}

// The texts by the candidate's rules, one after the other; nothing when one breaks them.
std::optional<std::u16string> Decode(const Candidate& candidate, std::span<const std::string> texts) {
  UErrorCode error = U_ZERO_ERROR;
  const std::unique_ptr<UConverter, void (*)(UConverter*)> converter(ucnv_open(candidate.icu_name, &error),
                                                                     &ucnv_close);
  ucnv_setToUCallBack(converter.get(), UCNV_TO_U_CALLBACK_STOP, nullptr, nullptr, nullptr, &error);
  if (U_FAILURE(error)) return std::nullopt;
  std::u16string all;
  for (const std::string& text : texts) {
    const size_t before = all.size();
    all.resize(before + text.size() + 16);
    UChar* target = all.data() + before;
    const char* source = text.data();
    ucnv_reset(converter.get());
    ucnv_toUnicode(converter.get(), &target, all.data() + all.size(), &source, text.data() + text.size(),
                   nullptr, /*flush=*/false, &error);
    if (U_FAILURE(error)) return std::nullopt;
    all.resize(static_cast<size_t>(target - all.data()));
  }
  return all;
}

// The share of common characters among the letters, or, where there are none, of common marks among the
// marks.
double CommonShare(const Candidate& candidate, std::u16string_view text) {
  static const Characters common_marks = SetOf(kMarks);
  int64_t letters = 0, common = 0, marks = 0, usual = 0;
  const auto size = static_cast<int32_t>(text.size());
  for (int32_t i = 0; i < size;) {
    UChar32 c = 0;
    U16_NEXT(text.data(), i, size, c);
    if (c < 0x80) continue;
    if (IsMark(c)) {
      ++marks;
      usual += common_marks.contains(c);
    } else {
      ++letters;
      common += (candidate.kana && IsKana(c)) || candidate.common->contains(c);
    }
  }
  if (letters > 0) return static_cast<double>(common) / static_cast<double>(letters);
  return marks == 0 ? 0 : static_cast<double>(usual) / static_cast<double>(marks);
}

}  // namespace

std::string_view EncodingName(Encoding encoding) {
  switch (encoding) {
    case Encoding::kUtf8:
    case Encoding::kUtf8WithMark: return "UTF-8";
    case Encoding::kGb18030: return "GB18030";
    case Encoding::kBig5: return "Big5";
    case Encoding::kEucKr: return "EUC-KR";
    case Encoding::kShiftJis: return "Shift_JIS";
    case Encoding::kEucJp: return "EUC-JP";
    case Encoding::kUtf16LittleEndian:
    case Encoding::kUtf16BigEndian: return "UTF-16";
  }
  return "";
}

const char* IcuName(Encoding encoding) {
  for (const Candidate& candidate : Candidates()) {
    if (candidate.encoding == encoding) return candidate.icu_name;
  }
  if (encoding == Encoding::kUtf16LittleEndian) return "UTF-16LE";
  if (encoding == Encoding::kUtf16BigEndian) return "UTF-16BE";
  return "UTF-8";
}

std::vector<Encoding> GuessEncoding(std::span<const std::string> texts) {
  struct Reading {
    double share = 0;
    Encoding encoding{};
    std::u16string text;
  };
  std::vector<Reading> readings;
  for (const Candidate& candidate : Candidates()) {
    std::optional<std::u16string> text = Decode(candidate, texts);
    if (!text) continue;
    const double share = CommonShare(candidate, *text);
    if (share >= kLeastShare) readings.push_back({share, candidate.encoding, *std::move(text)});
  }
  std::stable_sort(readings.begin(), readings.end(),
                   [](const Reading& a, const Reading& b) { return a.share > b.share; });
  std::vector<Encoding> likely;
  for (const Reading& reading : readings) {
    // Where both say the same, either is right.
    const bool other = &reading == &readings[0] || reading.text != readings[0].text;
    if (other && reading.share >= kNear * readings[0].share) likely.push_back(reading.encoding);
  }
  return likely;
}

}  // namespace ft::data
