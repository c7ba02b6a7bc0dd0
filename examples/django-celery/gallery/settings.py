"""Settings: what differs between environments comes from variables, which the stack file gives."""

import os

import dj_database_url

SECRET_KEY = os.environ["SECRET_KEY"]
DEBUG = False
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]

INSTALLED_APPS = ["gallery"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "gallery.urls"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
TIME_ZONE = "UTC"

DATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"], conn_max_age=60, conn_health_checks=True)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": os.environ["CACHE_URL"]},
}

# The volume is at another path without Docker.
MEDIA_ROOT = os.environ["VOLUME_MEDIA"]
MEDIA_URL = "media/"

EMAIL_HOST = os.environ["MAIL_HOST"]
EMAIL_PORT = int(os.environ["MAIL_PORT"])
DEFAULT_FROM_EMAIL = "gallery@example.com"

CELERY_BROKER_URL = os.environ["CELERY_BROKER_URL"]
CELERY_TASK_ACKS_LATE = True  # a job leaves the queue when it is done, not when it begins
CELERY_TASK_IGNORE_RESULT = True
CELERY_BEAT_SCHEDULE = {"count": {"task": "gallery.tasks.count_photos", "schedule": 15.0}}
