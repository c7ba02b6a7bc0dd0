"""The pages. Django serves the files by itself here; in front of many visitors a proxy does that."""

from django.conf import settings
from django.urls import path
from django.views.static import serve

from gallery import views

urlpatterns = [
    path("", views.photos, name="photos"),
    path("photos/<int:id>/delete", views.delete, name="delete"),
    path("health", views.health),
    path("media/<path:path>", serve, {"document_root": settings.MEDIA_ROOT}),
]
