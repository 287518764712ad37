// Recording: one answer as it is given, so that others who ask the same can be given it too: while
// it runs (they follow it) and after (it is replayed). In memory only. IO thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "gateway/answer.h"
#include "net/notifier.h"

namespace perigee {

// What recordings hold: of one tenant, and through `of_all` of all of them.
struct HeldBytes {
  void add(std::size_t more) {
    bytes += more;
    if (of_all != nullptr) of_all->add(more);
  }
  void drop(std::size_t some) {
    bytes -= some;
    if (of_all != nullptr) of_all->drop(some);
  }
  std::size_t bytes = 0;
  std::shared_ptr<HeldBytes> of_all = {};
};

class Recording {
 public:
  enum class State : std::uint8_t {
    Running,
    Answered,  // whole: it can be replayed
    Failed,    // error() says why; those who follow it are told the same
    TooLong,   // more than `bytes_max`, or no room: nothing is held, it can't be replayed
  };
  Recording(std::size_t bytes_max, std::shared_ptr<HeldBytes> held)
      : bytes_max_(bytes_max), held_(std::move(held)) {}
  ~Recording() { held_->drop(bytes_->size()); }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  // From who answers. What comes after the end is ignored.
  void served_at(const SiteId& site);  // what follows is from there
  void begin_stream(const AnswerHead& head);
  void append(std::string_view events);
  void respond(const AnswerHead& head, std::string_view body);
  void finish();
  void fail(const AnswerHead& head, const Error& error);
  void give_up_bytes();  // becomes TooLong, also when it has been answered

  // For who follows.
  State state() const { return state_; }
  bool began() const { return began_; }        // something of an answer is there
  bool streamed() const { return streamed_; }  // else a whole body
  bool complete() const { return complete_; }  // it was answered well, held or not
  const AnswerHead& head() const { return head_; }
  const std::vector<SiteId>& sites() const { return sites_; }  // that any of it came from
  const std::string& bytes() const { return *bytes_; }
  // Of an answer that has ended: stays as it is for whoever is being sent it when it is given up.
  std::shared_ptr<const std::string> whole() const { return bytes_; }
  const Error& error() const { return error_; }

  // One who is being given it; told of every change.
  class Reader {
   public:
    Reader(Recording& recording, Executor executor);
    ~Reader();
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    auto wait() { return notifier_.wait(); }
    void leave();  // its client has left
    bool left() const { return left_; }

   private:
    friend class Recording;
    Recording& recording_;
    net::Notifier notifier_;
    bool left_ = false;
  };
  std::size_t readers() const { return readers_.size(); }
  // Called when the number of readers changed; nullptr: nobody cares.
  void watch_readers(std::function<void()> changed) { readers_changed_ = std::move(changed); }

 private:
  void hold(std::string_view bytes);
  void drop_bytes();
  void end(State state);
  void notify();

  std::size_t bytes_max_;
  std::shared_ptr<HeldBytes> held_;
  AnswerHead head_;
  std::vector<SiteId> sites_;
  std::shared_ptr<std::string> bytes_ = std::make_shared<std::string>();
  Error error_;
  std::vector<Reader*> readers_;
  std::function<void()> readers_changed_;
  State state_ = State::Running;
  bool began_ = false;
  bool streamed_ = false;
  bool complete_ = false;
};

// Gives `out` what `recording` has and will have, from its first byte, marked as replayed. `out`
// must live until it returns.
Task<> follow(std::shared_ptr<Recording> recording, Executor executor, Answer& out);

}  // namespace perigee
