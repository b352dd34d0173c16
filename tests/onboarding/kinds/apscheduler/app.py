from flask import Flask
from flask_apscheduler import APScheduler


class Config:
    SCHEDULER_API_ENABLED = True


app = Flask(__name__)
app.config.from_object(Config())
scheduler = APScheduler()
scheduler.init_app(app)
scheduler.start()
TICKS = []


@scheduler.task("interval", id="tick", seconds=1)
def tick():
    TICKS.append("tick")


@app.route("/")
def index():
    return {"ticks": len(TICKS)}


if __name__ == "__main__":
    app.run()
