#include "gateway/idempotency.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <deque>

#include "gateway/inference.h"
#include "gateway/recording_answer.h"

namespace perigee {
namespace {

// A client's side: writes down what it is given.
class HeldAnswer final : public Answer {
 public:
  Task<Result<>> respond(const AnswerHead& head, std::string_view body) override {
    replayed = head.replayed;
    text += body;
    ended = true;
    co_return sent();
  }
  Task<Result<>> begin_stream(const AnswerHead& head) override {
    replayed = head.replayed;
    began = true;
    co_return sent();
  }
  Task<Result<>> write(std::string_view events) override {
    if (!gone) text += events;
    co_return sent();
  }
  Task<Result<>> finish(std::string_view events) override {
    if (!gone) text += events;
    ended = true;
    co_return sent();
  }
  Task<Result<>> fail(const AnswerHead& /*head*/, const Error& error) override {
    failure = error;
    co_return sent();
  }
  bool started() const override { return began; }
  void watch_client(std::function<void()> left) override { left_ = std::move(left); }
  void leave() {
    gone = true;
    if (const auto left = std::exchange(left_, nullptr)) left();
  }

  std::string text;
  std::optional<Error> failure;
  bool began = false;
  bool ended = false;
  bool gone = false;
  bool replayed = false;

 private:
  Result<> sent() const {
    if (gone) return Error{Code::Cancelled, "gone"};
    return {};
  }
  std::function<void()> left_;
};

class IdempotencyTest : public testing::Test {
 protected:
  static IdempotencyLimits limits() {
    IdempotencyLimits limits;
    limits.entries_max = 3;
    limits.bytes_max = 100;
    limits.answer_bytes_max = 50;
    limits.reader_patience = milliseconds{1};
    limits.runs_max = 3;
    limits.readers_max = 2;
    limits.age_max = seconds{60};
    return limits;
  }
  static Sha256 asks(std::string_view body) { return sha256(body); }
  // As `tenant_` and under `law_`, with a key of that name.
  KeyedRequest request(std::string_view key, std::string_view body = "a question") const {
    return {tenant_, account_, std::string{key}, asks(body), law_};
  }
  auto enter(std::string_view key, std::string_view body = "a question") {
    return table_.enter(request(key, body), directory_);
  }
  void know(const std::string& site, const std::string& jurisdiction) {
    directory_.sites.update(SiteId{site}, [&jurisdiction](SiteRecord& record) {
      record.jurisdiction = JurisdictionId{jurisdiction};
    });
  }
  void bind(std::vector<std::string> jurisdictions) {
    law_.clear();
    for (std::string& each : jurisdictions) law_.push_back(JurisdictionId{std::move(each)});
  }
  HeldAnswer& client() { return clients_.emplace_back(); }
  // What a first request answers through.
  RecordingAnswer& begin(std::string_view key, HeldAnswer& client) {
    auto entered = enter(key);
    EXPECT_TRUE(entered && entered->run) << "a run is due";
    answer_ =
        std::make_unique<RecordingAnswer>(io_.get_executor(), client, std::move(*entered->run));
    answer_->watch_client([this] { ++left_; });
    return *answer_;
  }
  void follow_with(HeldAnswer& client, std::string_view key) {
    auto entered = enter(key);
    ASSERT_TRUE(entered && entered->followed) << "a run to follow is due";
    asio::co_spawn(io_.get_executor(), follow(entered->followed, io_.get_executor(), client),
                   asio::detached);
    turn();
  }
  void tell(Task<Result<>> task) {
    asio::co_spawn(io_.get_executor(), std::move(task), asio::detached);
    turn();
  }
  void turn() {
    io_.restart();
    io_.poll();
  }
  void answer_whole(std::string_view key, std::string_view body) {
    HeldAnswer& caller = client();
    RecordingAnswer& answer = begin(key, caller);
    tell(answer.respond(AnswerHead{}, body));
    answer_.reset();
  }

  void answer_as(const std::string& tenant, std::string_view key, std::string_view body) {
    tenant_ = TenantId{tenant};
    answer_whole(key, body);
  }
  // An answer that begins at the first site and ends at the last.
  void answer_at(std::string_view key, const std::vector<std::string>& sites) {
    RecordingAnswer& answer = begin(key, client());
    tell(answer.begin_stream(AnswerHead{}));
    for (const std::string& site : sites) {
      answer.served_at(SiteId{site});
      tell(answer.write("data: 1\n\n"));
    }
    tell(answer.finish("data: [DONE]\n\n"));
    answer_.reset();
  }
  bool holds(const std::string& tenant, std::string_view key) {
    tenant_ = TenantId{tenant};
    auto entered = enter(key);
    return entered && entered->followed != nullptr;
  }

  TenantId tenant_{"acme"};
  std::string account_ = "k1";
  std::vector<JurisdictionId> law_;
  DirectorySnapshot directory_;
  ManualClock clock_;
  asio::io_context io_;
  IdempotencyTable table_{clock_, limits()};
  std::deque<HeldAnswer> clients_;
  std::unique_ptr<RecordingAnswer> answer_;
  int left_ = 0;
};

TEST_F(IdempotencyTest, ReplaysAWholeAnswerAndSaysSo) {
  answer_whole("k", R"({"id":"1"})");
  HeldAnswer& again = client();
  follow_with(again, "k");
  EXPECT_EQ(again.text, R"({"id":"1"})");
  EXPECT_TRUE(again.replayed);
  EXPECT_TRUE(again.ended);
  EXPECT_EQ(table_.replays(), 1U);
}

TEST_F(IdempotencyTest, GivesARunningStreamToWhoRepeatsItFromItsFirstByte) {
  HeldAnswer& first = client();
  HeldAnswer& second = client();
  RecordingAnswer& answer = begin("k", first);
  tell(answer.begin_stream(AnswerHead{}));
  tell(answer.write("data: 1\n\n"));
  follow_with(second, "k");
  EXPECT_EQ(second.text, "data: 1\n\n");
  tell(answer.write("data: 2\n\n"));
  EXPECT_EQ(second.text, "data: 1\n\ndata: 2\n\n");
  tell(answer.finish("data: [DONE]\n\n"));
  EXPECT_TRUE(second.ended);
  EXPECT_EQ(second.text, first.text);
  EXPECT_FALSE(first.replayed);
  answer_.reset();
  HeldAnswer& third = client();
  follow_with(third, "k");
  EXPECT_EQ(third.text, first.text);
}

TEST_F(IdempotencyTest, RunsAgainWhatFailedAndTellsTheFailureToWhoWaited) {
  HeldAnswer& first = client();
  HeldAnswer& second = client();
  RecordingAnswer& answer = begin("k", first);
  follow_with(second, "k");
  tell(answer.fail(AnswerHead{}, Error{Code::Unavailable, "no engine"}));
  answer_.reset();
  turn();
  ASSERT_TRUE(second.failure);
  EXPECT_EQ(second.failure->code, Code::Unavailable);
  EXPECT_TRUE(enter("k")->run);
  EXPECT_EQ(table_.entries(), 0U) << "nothing ran: nothing is remembered";
}

TEST_F(IdempotencyTest, RefusesAKeyThatStandsForAnotherRequest) {
  answer_whole("k", "{}");
  const auto refused = enter("k", "another question");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::InvalidArgument);
  EXPECT_EQ(refused.error().param, "idempotency-key");
  tenant_ = TenantId{"other"};
  EXPECT_TRUE(enter("k", "another question")->run) << "a key belongs to its tenant";
}

TEST_F(IdempotencyTest, WaitsForItsClientToComeBackAndThenGivesUp) {
  HeldAnswer& first = client();
  RecordingAnswer& answer = begin("k", first);
  tell(answer.begin_stream(AnswerHead{}));
  first.leave();
  EXPECT_EQ(left_, 0);
  io_.restart();
  io_.run_for(seconds{5});
  EXPECT_EQ(left_, 1) << "nobody came";
  EXPECT_TRUE(enter("k")->run) << "the repetition runs again";
}

TEST_F(IdempotencyTest, GoesOnWithoutItsClientForWhoCameBack) {
  HeldAnswer& first = client();
  HeldAnswer& second = client();
  RecordingAnswer& answer = begin("k", first);
  tell(answer.begin_stream(AnswerHead{}));
  tell(answer.write("data: 1\n\n"));
  first.leave();
  follow_with(second, "k");
  io_.restart();
  io_.run_for(milliseconds{50});
  EXPECT_EQ(left_, 0);
  tell(answer.write("data: 2\n\n"));
  tell(answer.finish("data: [DONE]\n\n"));
  EXPECT_EQ(second.text, "data: 1\n\ndata: 2\n\ndata: [DONE]\n\n");
  EXPECT_EQ(first.text, "data: 1\n\n");
}

TEST_F(IdempotencyTest, GivesUpWhenWhoCameBackLeavesToo) {
  HeldAnswer& first = client();
  HeldAnswer& second = client();
  RecordingAnswer& answer = begin("k", first);
  tell(answer.begin_stream(AnswerHead{}));
  first.leave();
  follow_with(second, "k");
  second.leave();
  io_.restart();
  io_.run_for(seconds{5});
  EXPECT_EQ(left_, 1);
}

TEST_F(IdempotencyTest, GivesUpAtOnceWhenTheSiteStops) {
  HeldAnswer& first = client();
  begin("k", first);
  first.leave();
  table_.close();
  io_.restart();
  io_.run_for(seconds{5});
  EXPECT_EQ(left_, 1);
}

TEST_F(IdempotencyTest, DoesNotHoldWhatIsTooLongAndRunsItOnce) {
  HeldAnswer& first = client();
  HeldAnswer& second = client();
  RecordingAnswer& answer = begin("k", first);
  tell(answer.begin_stream(AnswerHead{}));
  follow_with(second, "k");
  tell(answer.write(std::string(51, 'x')));
  ASSERT_TRUE(second.failure) << "it can't be followed any more";
  EXPECT_EQ(table_.bytes(), 0U);
  tell(answer.finish("end"));
  EXPECT_TRUE(first.text.ends_with("xend")) << "its own client gets all of it";
  answer_.reset();
  const auto refused = enter("k");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::InvalidArgument);
}

TEST_F(IdempotencyTest, CancelsALongAnswerWhoseClientHasLeft) {
  HeldAnswer& first = client();
  RecordingAnswer& answer = begin("k", first);
  tell(answer.begin_stream(AnswerHead{}));
  first.leave();
  Result<> written{};
  const auto write = [&]() -> Task<> { written = co_await answer.write(std::string(51, 'x')); };
  asio::co_spawn(io_.get_executor(), write(), asio::detached);
  turn();
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::Cancelled);
}

TEST_F(IdempotencyTest, RunsAKeyOnlySoOften) {
  for (int i = 0; i < 3; ++i) {
    HeldAnswer& caller = client();
    RecordingAnswer& answer = begin("k", caller);
    tell(answer.begin_stream(AnswerHead{}));
    answer_.reset();  // cut off
  }
  EXPECT_EQ(enter("k").error().code, Code::InvalidArgument);
}

TEST_F(IdempotencyTest, ForgetsTheOldestWhenFull) {
  for (const char* key : {"a", "b", "c", "d"}) answer_whole(key, "{}");
  EXPECT_EQ(table_.entries(), 3U);
  EXPECT_TRUE(enter("b")->followed);
  EXPECT_TRUE(enter("a")->run) << "it was the oldest";
}

TEST_F(IdempotencyTest, RefusesNewKeysWhileAllThatItHoldsRun) {
  std::vector<Result<IdempotencyTable::Entered>> running;
  for (const char* key : {"a", "b", "c"}) running.push_back(enter(key));
  EXPECT_EQ(enter("d").error().code, Code::ResourceExhausted);
  running.clear();
  EXPECT_TRUE(enter("d"));
}

TEST_F(IdempotencyTest, HoldsNoMoreBytesThanItMay) {
  for (const char* key : {"a", "b", "c"}) answer_whole(key, std::string(40, 'x'));
  EXPECT_EQ(table_.bytes(), 80U);
  EXPECT_TRUE(enter("a")->run);
  EXPECT_TRUE(enter("c")->followed);
}

TEST_F(IdempotencyTest, ForgetsAnAnswerThatIsOld) {
  answer_whole("k", "{}");
  clock_.advance(seconds{61});
  EXPECT_TRUE(enter("k")->run);
  EXPECT_EQ(table_.bytes(), 0U);
}

TEST_F(IdempotencyTest, BoundsWhoFollowsOneAnswer) {
  begin("k", client());
  HeldAnswer& second = client();
  follow_with(second, "k");
  follow_with(client(), "k");
  EXPECT_EQ(enter("k").error().code, Code::ResourceExhausted);
  second.leave();
  turn();
  EXPECT_TRUE(enter("k")->followed);
}

TEST_F(IdempotencyTest, GivesNoAnswerOfAnotherAccount) {
  answer_whole("k", "{}");
  account_ = "k2";
  EXPECT_TRUE(enter("k")->run);
  account_ = "k1";
  EXPECT_TRUE(enter("k")->followed);
}

TEST_F(IdempotencyTest, GivesNoAnswerThatCameFromWhereItMayNotBeServedNow) {
  know("paris", "fr");
  know("berlin", "de");
  answer_at("k", {"paris", "berlin"});
  EXPECT_TRUE(enter("k")->followed) << "bound by nothing";
  bind({"de", "fr"});
  EXPECT_TRUE(enter("k")->followed);
  bind({"de"});
  EXPECT_EQ(enter("k").error().code, Code::DataResidency) << "its first half came from paris";
  bind({"fr"});
  EXPECT_EQ(enter("k").error().code, Code::DataResidency) << "its second half came from berlin";
  know("berlin", "fr");
  EXPECT_TRUE(enter("k")->followed) << "berlin stands under another law now";
  directory_.sites.clear();
  EXPECT_EQ(enter("k").error().code, Code::DataResidency) << "nobody knows what paris is";
}

TEST_F(IdempotencyTest, LetsNobodyFollowARunThatMayGoOnWhereHeMayNotBeServed) {
  know("paris", "fr");
  bind({"de", "fr"});
  RecordingAnswer& answer = begin("k", client());
  bind({"fr"});
  EXPECT_EQ(enter("k").error().code, Code::DataResidency) << "it may be served in berlin yet";
  bind({"fr", "de", "at"});
  EXPECT_TRUE(enter("k")->followed);
  answer.served_at(SiteId{"paris"});
  tell(answer.respond(AnswerHead{}, "{}"));
  answer_.reset();
  bind({"fr"});
  EXPECT_TRUE(enter("k")->followed) << "it was served in paris";
}

TEST_F(IdempotencyTest, TakesThePlaceOfANewKeyFromTheTenantThatHoldsTheMost) {
  answer_as("quiet", "q", "{}");
  for (const char* key : {"a", "b", "c", "d", "e"}) answer_as("flood", key, "{}");
  EXPECT_EQ(table_.entries(), 3U);
  EXPECT_TRUE(holds("quiet", "q")) << "a flood of another tenant's keys flushed it";
  EXPECT_TRUE(holds("flood", "d"));
  EXPECT_TRUE(holds("flood", "e"));
  answer_as("third", "t", "{}");
  EXPECT_TRUE(holds("quiet", "q"));
  EXPECT_TRUE(holds("third", "t"));
  EXPECT_TRUE(holds("flood", "e"));
}

TEST_F(IdempotencyTest, LetsOneTenantAloneHaveTheWholeTable) {
  for (const char* key : {"a", "b", "c"}) answer_as("flood", key, "{}");
  for (const char* key : {"a", "b", "c"}) EXPECT_TRUE(holds("flood", key));
}

TEST_F(IdempotencyTest, HasAPlaceForATenantWhileAnotherRunsAllThatItHolds) {
  tenant_ = TenantId{"flood"};
  std::vector<Result<IdempotencyTable::Entered>> running;
  for (const char* key : {"a", "b", "c"}) running.push_back(enter(key));
  EXPECT_EQ(enter("d").error().code, Code::ResourceExhausted) << "it has all already";
  answer_as("quiet", "q", "{}");
  EXPECT_TRUE(holds("quiet", "q"));
  EXPECT_EQ(table_.entries(), 3U);
  running.clear();
  EXPECT_TRUE(holds("quiet", "q")) << "the run that lost its place ended";
  EXPECT_EQ(table_.entries(), 1U);
}

TEST_F(IdempotencyTest, TakesRoomForAnAnswerFromTheTenantThatHoldsTheMost) {
  answer_as("quiet", "q", std::string(20, 'x'));
  for (const char* key : {"a", "b"}) answer_as("flood", key, std::string(40, 'x'));
  answer_as("flood", "c", std::string(40, 'x'));
  EXPECT_TRUE(holds("quiet", "q")) << "a flood of another tenant's answers flushed it";
  EXPECT_EQ(table_.bytes(), 100U);
  answer_as("quiet", "r", std::string(30, 'x'));
  EXPECT_TRUE(holds("quiet", "q"));
  EXPECT_TRUE(holds("quiet", "r"));
  EXPECT_TRUE(holds("flood", "c"));
  EXPECT_EQ(table_.bytes(), 90U);
}

TEST_F(IdempotencyTest, TakesRoomFromWhatTheGreatestTenantStillRuns) {
  IdempotencyLimits narrow = limits();
  narrow.answer_bytes_max = 100;
  IdempotencyTable table{clock_, narrow};
  tenant_ = TenantId{"flood"};
  HeldAnswer& flood = client();
  RecordingAnswer large{io_.get_executor(), flood,
                        std::move(*table.enter(request("a"), directory_)->run)};
  tell(large.begin_stream(AnswerHead{}));
  tell(large.write(std::string(90, 'x')));
  tenant_ = TenantId{"quiet"};
  HeldAnswer& quiet = client();
  RecordingAnswer small{io_.get_executor(), quiet,
                        std::move(*table.enter(request("q"), directory_)->run)};
  tell(small.respond(AnswerHead{}, std::string(20, 'y')));
  EXPECT_EQ(table.bytes(), 20U);
  EXPECT_TRUE(table.enter(request("q"), directory_)->followed);
  tell(large.finish("end"));
  EXPECT_TRUE(flood.text.ends_with("xend")) << "its own client gets all of it";
}

TEST(RecordIds, AreTheSameEverywhereForTheSameRequestOnTheSameDay) {
  constexpr std::int64_t kDay = 86'400'000'000;
  const KeyedRequest request{TenantId{"acme"}, "k1", "k", sha256("a question"), {}};
  const RecordId id = record_id(request, WallTime{3 * kDay});
  EXPECT_EQ(record_id(request, WallTime{4 * kDay - 1}), id);
  EXPECT_GE(id.time_us, static_cast<std::uint64_t>(3 * kDay));
  EXPECT_LT(id.time_us, static_cast<std::uint64_t>(4 * kDay));
  EXPECT_NE(record_id(request, WallTime{4 * kDay}), id);
  const auto changed = [&](const auto& change) {
    KeyedRequest other = request;
    change(other);
    return record_id(other, WallTime{3 * kDay});
  };
  EXPECT_EQ(changed([](KeyedRequest& each) { each.law = {JurisdictionId{"de"}}; }), id);
  EXPECT_NE(changed([](KeyedRequest& each) { each.tenant = TenantId{"other"}; }), id);
  EXPECT_NE(changed([](KeyedRequest& each) { each.account = "k2"; }), id);
  EXPECT_NE(changed([](KeyedRequest& each) { each.key = "l"; }), id);
  EXPECT_NE(changed([](KeyedRequest& each) { each.fingerprint = sha256("another"); }), id);
}

TEST(KeyedRequests, AreOfOneAccountForKeysThatFollowedOneAnotherByRotation) {
  DirectorySnapshot directory;
  for (const char* id : {"first", "next"}) {
    directory.keys.update(id, [](KeyRecord& key) { key.account = "first"; });
  }
  InferenceCall call;
  const auto account_of = [&](const std::string& key_id) {
    call.caller.key_id = key_id;
    return keyed_request(call, directory).account;
  };
  EXPECT_EQ(account_of("next"), account_of("first"));
  EXPECT_EQ(account_of("iss:corp:0123"), "iss:corp:0123");
}

TEST(RequestFingerprint, TellsBodyOperationAndLawApart) {
  InferenceCall call;
  call.body = R"({"model":"m"})";
  const Sha256 chat = request_fingerprint(call);
  EXPECT_EQ(request_fingerprint(call), chat);
  call.hints.jurisdictions = {JurisdictionId{"de"}};
  EXPECT_NE(request_fingerprint(call), chat);
  call.hints.jurisdictions.clear();
  call.operation = Operation::Completion;
  EXPECT_NE(request_fingerprint(call), chat);
  call.operation = Operation::Chat;
  call.body = R"({"model": "m"})";
  EXPECT_NE(request_fingerprint(call), chat);
}

}  // namespace
}  // namespace perigee
